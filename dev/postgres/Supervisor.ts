import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import type { Identity } from "./Identity.ts"

/**
 * The kernel closes stdin however our process dies, and the shell then ends the command: by a fast shutdown, then an
 * immediate one (no checkpoint; recovery loses nothing), then SIGKILL. The shell is the parent, so the pid is not reused
 * while it may still send signals. TERM is for initdb, whose `system()` ignores INT and QUIT while it tries settings.
 */
const watchdogScript = `
remove=$1; shift
exec 3<&0 </dev/null
"$@" >/dev/null 3<&- & pid=$!
echo $pid
{ read -r _ <&3; for signal in INT TERM QUIT KILL; do kill -$signal $pid; sleep 0.25; done; } >/dev/null 2>&1 & watcher=$!
exec 3<&-
wait $pid; code=$?
kill $watcher 2>/dev/null
[ -z "$remove" ] || rm -rf "$remove"
exit $code
`

export type Supervised = ReturnType<typeof supervise>

/** Runs a command that ends with this process. It has its own session, so Ctrl-C reaches only the app, which drains first. */
export const supervise = (
  command: string,
  args: ReadonlyArray<string>,
  { ids, prefix }: Identity,
  { log, removeAfterwards = "" }: { removeAfterwards?: string | undefined; log?: ((line: string) => void) | undefined } = {}
) => {
  // Windows has no such shell: there the server outlives a killed app, and the next start reports it.
  const direct = process.platform === "win32"
  const child = direct
    ? spawn(command, args)
    : spawn("/bin/sh", ["-c", watchdogScript, "sh", removeAfterwards, ...prefix, command, ...args], {
        ...(ids && { uid: ids.uid, gid: ids.gid }),
        cwd: "/", // the other user may not have access to ours
        detached: true
      })
  let pid = direct ? child.pid : undefined
  let ended = false
  const lines: Array<string> = []
  const note = (line: string) => {
    if (lines.push(line) > 20) lines.shift()
    log?.(line)
  }
  child.stdout.on("data", (echoed: Buffer) => (pid ??= Number(echoed)))
  createInterface({ input: child.stderr }).on("line", note)
  child.once("error", (error) => note(error.message))
  return {
    /** The pid of the command; 0 until it is known. */
    pid: () => pid ?? 0,
    ended: () => ended,
    exitCode: () => child.exitCode,
    /** The last lines of the log. */
    tail: () => lines.join("\n"),
    /** Resolves when the command and all its children have exited: waits for the end of stderr, which they hold. */
    exited: new Promise<void>((done) => child.once("close", () => done())).then(() => void (ended = true))
  }
}

/** Sends a signal, and returns whether the process exists; 0 only checks. */
export const signal = (pid: number, name: NodeJS.Signals | 0): boolean => {
  try {
    return pid > 0 && process.kill(pid, name)
  } catch (error) {
    return String(error).includes("EPERM")
  }
}

import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import type { Identity } from "./Identity.ts"

/**
 * Stdin is the life line: the kernel closes it however our process dies, and the shell then ends the command: kindly
 * (fast shutdown), soon by an immediate shutdown (no checkpoint; recovery loses nothing), at last by force. Being the
 * parent, the shell keeps the pid from being reused while it may still send signals. TERM is for initdb, which is deaf to
 * INT and QUIT while it tries settings (`system()` ignores them).
 */
const LIFE_LINE = `
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

/** Runs a command that ends with us, in its own session: Ctrl-C reaches the app, which drains before it stops Postgres. */
export const supervise = (
  command: string,
  args: ReadonlyArray<string>,
  { ids, prefix }: Identity,
  { log, removeAfterwards = "" }: { removeAfterwards?: string | undefined; log?: ((line: string) => void) | undefined } = {}
) => {
  // Windows has no such shell: there the server outlives a killed app, and the next start names it.
  const direct = process.platform === "win32"
  const child = direct
    ? spawn(command, args)
    : spawn("/bin/sh", ["-c", LIFE_LINE, "sh", removeAfterwards, ...prefix, command, ...args], {
        ...(ids && { uid: ids.uid, gid: ids.gid }),
        cwd: "/", // ours may be closed to the other user
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
    /** The command's own; 0 until it is made. */
    pid: () => pid ?? 0,
    ended: () => ended,
    exitCode: () => child.exitCode,
    /** The last lines of the log. */
    tail: () => lines.join("\n"),
    /** When the command and all its children are gone: they hold its stderr, whose end this waits for. */
    exited: new Promise<void>((done) => child.once("close", () => done())).then(() => void (ended = true))
  }
}

/** Whether the process exists; the signal 0 only asks. */
export const signal = (pid: number, name: NodeJS.Signals | 0): boolean => {
  try {
    return pid > 0 && process.kill(pid, name)
  } catch (error) {
    return String(error).includes("EPERM")
  }
}

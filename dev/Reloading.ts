import { type ChildProcess, fork } from "node:child_process"
import { watch } from "node:fs"
import { Effect } from "effect"

/** Milliseconds without another change after which the program is started again: an editor writes a file in several steps. */
const quietMillis = 150

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null

/** The exit code of a program, once it has ended; 1 when a signal ended it. */
const ended = (child: ChildProcess) =>
  Effect.callback<number>((resume) => {
    const done = () => resume(Effect.succeed(child.exitCode ?? 1))
    if (hasEnded(child)) return done()
    child.once("exit", done)
    return Effect.sync(() => void child.off("exit", done))
  })

const isSource = (name: string | null): name is string => name !== null && /\.(?:tsx?|css|html|svg)$/.test(name)

/** The next source that changes in one of these folders. */
const changed = (folders: ReadonlyArray<string>) =>
  Effect.callback<string>((resume) => {
    let timer: NodeJS.Timeout | undefined
    const watchers = folders.map((folder) =>
      watch(folder, { recursive: true }, (_, name) => {
        if (!isSource(name)) return
        clearTimeout(timer)
        timer = setTimeout(() => resume(Effect.succeed(name)), quietMillis)
      })
    )
    return Effect.sync(() => {
      clearTimeout(timer)
      for (const watcher of watchers) watcher.close()
    })
  })

interface Program {
  /** The file to run. It ends when its IPC channel does, so that it does not outlive this process. */
  readonly entry: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** The folders whose changes start it again. */
  readonly folders: ReadonlyArray<string>
  /** Runs before each start. */
  readonly prepare: Effect.Effect<void>
  readonly say: (line: string) => Effect.Effect<void>
}

/** Runs the program until it ends or a source changes; it gets the time to drain that it has after a signal. */
const runOnce = ({ entry, env, folders, prepare }: Program) =>
  Effect.gen(function* () {
    yield* prepare
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => fork(entry, { env, stdio: ["ignore", "inherit", "inherit", "ipc"] })),
      (child) => {
        if (!hasEnded(child)) child.kill("SIGTERM")
        return Effect.asVoid(ended(child))
      }
    )
    return yield* Effect.raceFirst(ended(child), changed(folders))
  }).pipe(Effect.scoped)

/**
 * Runs the program, and starts it again whenever a source changes. Returns the exit code when it ends by itself. Once
 * something was changed, the end is probably due to the change, and the next one is awaited.
 */
export const runReloading = Effect.fnUntraced(function* (program: Program) {
  let hasChanged = false
  while (true) {
    let outcome = yield* runOnce(program)
    if (typeof outcome === "number") {
      if (!hasChanged) return outcome
      yield* program.say("The server has ended; it is started again after the next change")
      outcome = yield* changed(program.folders)
    }
    hasChanged = true
    yield* program.say(`Reload      ${outcome}`)
  }
})

import cluster, { type Worker } from "node:cluster"
import { once } from "node:events"
import { Deferred, Effect, Layer } from "effect"

/** Milliseconds before a process that ended is started again: doubled each time, until one has run for a minute. */
const firstWait = 1_000
const longestWait = 30_000
const calmAfter = 60_000

const exitCodeOf = async (worker: Worker): Promise<number> => {
  const [code] = await once(worker, "exit")
  // A signal ended it.
  return typeof code === "number" ? code : 1
}

/**
 * Runs `count` processes of this program, which share its port, and starts each again that ends. When one ends before any
 * has listened, they cannot start, and have said why: then this process ends with the same exit code. When the layer is
 * released, the processes get the time to drain that they have after a signal.
 */
export const superviseProcesses = (count: number) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const exits = new Map<Worker, Promise<number>>()
      const listening = yield* Deferred.make<void>()
      const unable = yield* Deferred.make<number>()
      cluster.on("listening", () => Deferred.doneUnsafe(listening, Effect.void))

      const keepRunning = Effect.gen(function* () {
        let wait = firstWait
        while (true) {
          const startedAt = performance.now()
          const worker = cluster.fork()
          const exit = exitCodeOf(worker)
          exits.set(worker, exit)
          const code = yield* Effect.promise(() => exit)
          exits.delete(worker)
          if (!(yield* Deferred.isDone(listening))) return yield* Deferred.succeed(unable, code)
          if (performance.now() - startedAt > calmAfter) wait = firstWait
          yield* Effect.logWarning(`A process ended with code ${code}; it is started again in ${wait / 1000} s`)
          yield* Effect.sleep(wait)
          wait = Math.min(2 * wait, longestWait)
        }
      })

      yield* Effect.addFinalizer(() =>
        Effect.promise(async () => {
          for (const worker of exits.keys()) worker.kill("SIGTERM")
          const codes = await Promise.all(exits.values())
          if (codes.some((code) => code !== 0)) process.exitCode ??= 1
        })
      )
      // Interrupted before the finalizer above runs, so that no process is started again while they drain.
      for (let index = 0; index < count; index++) yield* Effect.forkScoped(keepRunning)

      const start = yield* Effect.raceFirst(Deferred.await(listening), Deferred.await(unable))
      if (typeof start !== "number") return
      process.exitCode = start
      yield* Effect.interrupt
    })
  )

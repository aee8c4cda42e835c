import { Effect, Exit } from "effect"

/** Reads the rows of these keys; one without a row is absent. */
type Read<A, E> = (keys: ReadonlyArray<string>) => Effect.Effect<ReadonlyMap<string, A>, E>

/**
 * Reads rows by their keys, with one statement for all that are asked for in one turn of the event loop. A single reader
 * waits for no other: the turn ends with it.
 *
 * The statement is sent after each of its readers has asked, so none gets a row that is older than its question.
 */
export const makeTurnReads = Effect.fnUntraced(function* <A, E>(read: Read<A, E>) {
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  let waiting = new Map<string, Array<(row: Effect.Effect<A | undefined, E>) => void>>()

  const readAll = () => {
    const asked = waiting
    waiting = new Map()
    fork(read([...asked.keys()])).addObserver((exit) => {
      for (const [key, readers] of asked) {
        const row = Exit.map(exit, (rows) => rows.get(key))
        for (const resume of readers) resume(row)
      }
    })
  }

  return (key: string): Effect.Effect<A | undefined, E> =>
    Effect.callback((resume) => {
      if (waiting.size === 0) setImmediate(readAll)
      const readers = waiting.get(key)
      if (readers === undefined) waiting.set(key, [resume])
      else readers.push(resume)
    })
})

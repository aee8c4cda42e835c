import { setTimeout as sleep } from "node:timers/promises"

type Absent = false | null | undefined
const isPresent = <A>(value: A): value is Exclude<A, Absent> => value !== undefined && value !== null && value !== false

/** Polls `look` until it returns a value; fails with `what` after `seconds`. */
export const until = async <A>(
  what: string,
  look: () => A | Promise<A>,
  { seconds = 40 }: { readonly seconds?: number | undefined } = {}
): Promise<Exclude<Awaited<A>, Absent>> => {
  const deadline = Date.now() + seconds * 1_000
  while (true) {
    const found = await look()
    if (isPresent(found)) return found
    if (Date.now() > deadline) throw new Error(`${what}: not within ${seconds} s`)
    await sleep(10)
  }
}

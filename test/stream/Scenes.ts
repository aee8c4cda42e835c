import { type Person, personAt, type Reply } from "../support/Client.ts"
import { isPresent, startWorld, type World } from "../chat/World.ts"
import { type Place, placeOf } from "./SseClient.ts"
import { until } from "../support/wait.ts"

/** Two backends on one database. Only the second has a worker, so the first streams every reply from another process. */
export const startTwo = (settings: Readonly<Record<string, string>> = {}): Promise<World> =>
  startWorld(
    { ROLE: "api", BASIC_DAILY_PROMPTS: "100000", BASIC_CONCURRENCY: "1000", LOG_LEVEL: "none", ...settings },
    { ROLE: "all", BASIC_DAILY_PROMPTS: "100000", BASIC_CONCURRENCY: "1000", LOG_LEVEL: "none", ...settings }
  )

export const both = (world: World): readonly [string, string] => {
  const [one, other] = world.urls
  if (!isPresent(one) || !isPresent(other)) throw new Error("two backends listen")
  return [one, other]
}

/** Asks in the given room or a new one, and returns the ids of room and reply. */
export const asked = async (person: Person, content: string, room?: string): Promise<Place> => {
  const sent = await person.ask(room ?? (await person.room()), content)
  if (sent.status !== 202) throw new Error(`not accepted: ${sent.text}`)
  return placeOf(sent)
}

export const messageAt = (person: Person, { reply, room }: Place, query = ""): Promise<Reply> =>
  person.call("GET", `/chatroom/${room}/message/${reply}${query}`)

/** The message once it has ended. */
// oxlint-disable-next-line typescript/no-explicit-any -- tests read the answer as it came over the wire
export const endOf = async (person: Person, place: Place): Promise<any> => {
  const found = await messageAt(person, place, "?wait=30")
  if (!["completed", "failed", "cancelled"].includes(found.body?.status)) throw new Error(`has not ended: ${found.text}`)
  return found.body
}

export const inState = (person: Person, place: Place, status: string) =>
  until(`the status ${status}`, async () => (await messageAt(person, place)).body.status === status)

export const at = (base: string, person: Person) => personAt(base, person)

let prompts = 0
/** Makes a prompt unique, because the simulator counts a fault's `times` by prompt. */
export const unique = (words: string) => `${words} No. ${prompts++}`

/** Runs `width` items at a time, in order. */
export const inParallel = async <A, B>(
  width: number,
  items: ReadonlyArray<A>,
  work: (item: A, index: number) => Promise<B>
): Promise<Array<B>> => {
  const results: Array<B> = []
  let next = 0
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < items.length) {
        const index = next++
        const item = items[index]
        if (item !== undefined) results[index] = await work(item, index)
      }
    })
  )
  return results
}

export const percentile = (values: ReadonlyArray<number>, share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0

export const spread = (values: ReadonlyArray<number>): string =>
  [
    ["p50", 0.5],
    ["p99", 0.99],
    ["max", 1]
  ]
    .map(([name, share]) => `${name} ${percentile(values, Number(share)).toFixed(1)} ms`)
    .join(", ")

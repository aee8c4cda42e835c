import pg from "pg"
import { compare, contest, type Contender, type Effort, type Line } from "./contest.ts"
import { analyze, connections, questionsTo, withSides } from "./sides.ts"
import type { Stage } from "./stage.ts"

/** More than either accepts in a second, so that no question is sent twice. */
const maximumRate = 6_000

const countReplies = async (databaseUrl: string): Promise<number> => {
  const database = new pg.Client({ connectionString: databaseUrl })
  await database.connect()
  const { rows } = await database.query<{ count: number }>("select count(*)::int as count from messages where role = 'model'")
  await database.end()
  return rows[0]?.count ?? 0
}

/** Questions accepted while no worker runs: each is the only one of its room and has its own key. */
export const accepted = (stage: Stage, effort: Effort): Promise<ReadonlyArray<Line>> => {
  const seconds = effort.warmUp + effort.rounds * effort.seconds
  const users = Math.min(1_000, Math.ceil(seconds * 200))
  const roomsEach = Math.ceil((seconds * maximumRate) / users)
  return withSides(stage, "bench_send", users, roomsEach, async ({ rooms, sides }) => {
    const requests = questionsTo(rooms)
    const contenders = sides.map(({ name, pids, port }): Contender => ({ name, pids, target: { port, connections, requests } }))
    const [product, usual] = await contest(stage.driver.run, contenders, effort, () => analyze(sides))
    if (product === undefined) throw new Error("the product was not measured")
    const line = compare("POST message, accepted", "202", product, usual, "Fastify + pg + BullMQ")
    const stored = await Promise.all(sides.map(({ databaseUrl }) => countReplies(databaseUrl)))
    const missing = [product, usual].flatMap((result, index) => {
      const answered = result?.windows.reduce((sum, { statuses }) => sum + (statuses["202"] ?? 0), 0) ?? 0
      return (stored[index] ?? 0) < answered ? [`${result?.name ?? ""}: ${answered} accepted, ${stored[index] ?? 0} stored`] : []
    })
    return [{ ...line, faults: [...line.faults, ...missing] }]
  })
}

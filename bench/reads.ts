import { compare, contest, type Contender, type Effort, type Line, type Result } from "./contest.ts"
import { requestText, startReference, type Target } from "./load.ts"
import { seedRooms, seedTokens } from "./seed.ts"
import { type Api, type Stage, startApi } from "./stage.ts"
import { startUsualStack, type UsualStack } from "./usualStack.ts"
import { hasWrk, runWrk } from "./wrk.ts"

const connections = 32
const rooms = 20

const bodyOf = async (port: number, path: string, token: string): Promise<string> => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: `Bearer ${token}` } })
  if (response.status !== 200) throw new Error(`GET ${path} answered ${response.status}: ${await response.text()}`)
  return response.text()
}

interface World {
  readonly api: Api
  readonly usual: UsualStack | undefined
  readonly token: string
}

/** One user with his rooms, known to the product and to the usual stack. */
const withWorld = async <A>(stage: Stage, run: (world: World) => Promise<A>): Promise<A> => {
  const settings = stage.settings(await stage.productDatabase("bench_reads"))
  const api = await startApi(settings, "api", stage.entry)
  const usual = await startUsualStack(stage, "bench_reads_usual")
  try {
    const tokens = await seedTokens(settings, 1)
    const [token = ""] = tokens
    await seedRooms(api.url, tokens, rooms)
    await usual?.logIn(tokens)
    await usual?.keepList(token, await bodyOf(api.port, "/chatroom", token))
    return await run({ api, usual, token })
  } finally {
    await Promise.all([api.stop(), usual?.stop()])
  }
}

/** Throws unless both give the same answer, as far as the reference knows it. */
const expectSame = async (path: string, { api, token, usual }: World) => {
  if (usual === undefined) return
  const [ours, theirs] = await Promise.all([bodyOf(api.port, path, token), bodyOf(usual.server.port, path, token)])
  const fields = (body: string) => Object.keys(JSON.parse(body)).toSorted().join()
  const isSame = path === "/chatroom" ? ours === theirs : fields(ours) === fields(theirs)
  if (!isSame) throw new Error(`GET ${path} differs:\n${ours}\n${theirs}`)
}

const measure = async (stage: Stage, effort: Effort, world: World, path: string) => {
  const { api, token, usual } = world
  await expectSame(path, world)
  const bare = await startReference(api.url + path, "GET", token)
  const target = (port: number): Target => ({ port, connections, requests: [requestText("GET", path, token)] })
  const contenders: ReadonlyArray<Contender> = [
    { name: "product", target: target(api.port), pids: { api: api.pid, Postgres: stage.postgresPid } },
    { name: "bare", target: target(bare.port), pids: { bare: bare.pid } },
    ...(usual === undefined
      ? []
      : [
          {
            name: "usual",
            target: target(usual.server.port),
            pids: { Fastify: usual.server.pid, Redis: usual.redisPid, Postgres: stage.postgresPid }
          }
        ])
  ]
  const results = await contest(hasWrk ? runWrk : stage.driver.run, contenders, effort)
  bare.stop()
  const of = (name: string): Result | undefined => results.find((result) => result.name === name)
  return { product: of("product"), bare: of("bare"), usual: of("usual"), bytes: bare.bytes }
}

/** GET /chatroom from the cache, and GET /user/me: beside Fastify, and beside a server that only sends the same bytes. */
export const reads = (stage: Stage, effort: Effort): Promise<ReadonlyArray<Line>> =>
  withWorld(stage, async (world) => {
    const lines: Array<Line> = []
    for (const [path, what, stack] of [
      ["/chatroom", "GET /chatroom, hit", "Fastify + JWT + Redis"],
      ["/user/me", "GET /user/me", "Fastify + JWT + Redis + pg"]
    ] as const) {
      const { bare, bytes, product, usual } = await measure(stage, effort, world, path)
      if (product === undefined) throw new Error("the product was not measured")
      const title = `${what} (${bytes.toLocaleString("en")} bytes)`
      lines.push(compare(title, "200", product, usual, stack), compare(title, "200", product, bare, "bare node:http, same bytes"))
    }
    return lines
  })

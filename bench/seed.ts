import { Effect, Layer, Schema } from "effect"
import { Keys } from "../src/keys/Keys.ts"
import { Mobile } from "../src/api/auth/Mobile.ts"
import { Sessions } from "../src/auth/Sessions.ts"
import { Tokens } from "../src/auth/Tokens.ts"
import { Users } from "../src/auth/Users.ts"
import { AppConfig } from "../src/config/Settings.ts"
import { DatabaseLayer } from "../src/database/Database.ts"
import { Notifications } from "../src/database/Notifications.ts"
import { environment } from "../src/ops/Launch.ts"

/** Requests in flight during the preparation. */
const parallel = 32

const mobileOf = (index: number) => Schema.decodeUnknownSync(Mobile)(`+9198${String(index).padStart(8, "0")}`)

/**
 * Logs users in by the product's own services and returns their tokens. Not over HTTP, because one-time codes are
 * rate-limited.
 */
export const seedTokens = (settings: Readonly<Record<string, string>>, users: number): Promise<ReadonlyArray<string>> => {
  const services = Layer.mergeAll(Users.layer, Sessions.layer, Tokens.layer).pipe(
    Layer.provide([Keys.layer, Notifications.layer]),
    Layer.provide(DatabaseLayer),
    Layer.provide(AppConfig.layer),
    Layer.provide(environment({ ...settings, MIGRATE: "off" }))
  )
  const logIn = Effect.fnUntraced(function* (index: number) {
    const { user } = yield* (yield* Users).activate(mobileOf(index), "bench")
    const session = yield* (yield* Sessions).start(user.id, { address: null, userAgent: "bench" }, false)
    const tokens = yield* Tokens
    return yield* tokens.sign(user.id, session.id, tokens.ttl)
  })
  const indexes = Array.from({ length: users }, (_, index) => index)
  return Effect.runPromise(Effect.forEach(indexes, logIn, { concurrency: parallel }).pipe(Effect.provide(services)))
}

/** A chatroom and the token of its owner. */
export interface Room {
  readonly id: string
  readonly token: string
}

/** Opens rooms over HTTP, for the users in turn, so that neighbours in the list have different owners. */
export const seedRooms = async (url: string, tokens: ReadonlyArray<string>, roomsEach: number): Promise<ReadonlyArray<Room>> => {
  const owners = Array.from({ length: roomsEach }, () => tokens).flat()
  const rooms: Array<Room> = []
  const open = async () => {
    for (let token = owners.pop(); token !== undefined; token = owners.pop()) {
      const response = await fetch(`${url}/chatroom`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({ title: `Room ${owners.length}` })
      })
      const body: unknown = await response.json()
      if (typeof body !== "object" || body === null || !("id" in body)) throw new Error(`no room: ${JSON.stringify(body)}`)
      rooms.push({ id: String(body.id), token })
    }
  }
  await Promise.all(Array.from({ length: parallel }, open))
  return rooms
}

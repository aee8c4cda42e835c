import { Effect } from "effect"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { Cursors } from "../http/Cursors.ts"
import { Idempotency, replayedHeader } from "../http/Idempotency.ts"
import { newestFirst } from "../http/NewestFirst.ts"
import { makeSealedSecrets, type SealedSecret } from "../keys/SealedSecrets.ts"
import { ApiKeys, type MadeApiKey } from "./ApiKeys.ts"
import { formatKey } from "./KeyFormat.ts"

/** The secret is undefined when a replay cannot open it. */
type ShownApiKey = Omit<MadeApiKey, "secret"> & { readonly secret: string | undefined }

export const ApiKeysHttp = HttpApiBuilder.group(
  Api,
  "apiKeys",
  Effect.fn(function* (handlers) {
    const apiKeys = yield* ApiKeys
    const cursors = yield* Cursors
    const idempotency = yield* Idempotency
    const secrets = yield* makeSealedSecrets

    /** The stored response of a new key: its secret is sealed. */
    const keep = ({ secret = "", ...key }: ShownApiKey) => ({ ...key, ...secrets.seal("key", key.id, secret) })
    const restore = ({ hash, sealed, ...key }: Omit<ShownApiKey, "secret"> & SealedSecret): ShownApiKey => ({
      ...key,
      secret: secrets.open("key", key.id, { hash, sealed })
    })

    return handlers.handleAll({
      createApiKey: Effect.fnUntraced(function* ({ headers, payload }) {
        const { userId } = yield* CurrentUser
        const request = { userId, route: "createApiKey", key: headers["idempotency-key"], body: payload }
        const create = Effect.map(apiKeys.create(userId, payload), (made): ShownApiKey => made)
        const { replayed, value } = yield* idempotency.once(request, create, { keep, restore })
        const { createdAt, expiresAt, id, last4, name, secret } = value
        if (secret === undefined) return yield* Effect.die("the key that sealed the API key is no longer in JWT_KEYS")
        return HttpApiSchema.withHeaders({
          body: { id, name, key: formatKey(secret), last4, createdAt, expiresAt },
          headers: { location: `/user/keys/${id}`, ...replayedHeader(replayed) }
        })
      }),

      listApiKeys: Effect.fnUntraced(function* (call) {
        const { userId } = yield* CurrentUser
        return yield* newestFirst(cursors, `keys:${userId}`, call, (page) => apiKeys.list(userId, page))
      }),

      deleteApiKey: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentUser
        yield* apiKeys.remove(userId, params.id)
      })
    })
  })
)

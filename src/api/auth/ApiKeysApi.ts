import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiError, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { CacheControl, noStore } from "../Annotations.ts"
import { describe } from "../Describe.ts"
import { ada, ids, times } from "../Examples.ts"
import { IdempotencyKey, IdempotencyKeyReused, Replayed } from "../Idempotency.ts"
import { Cursor, Limit, linkHeader, page } from "../Pagination.ts"
import { problem } from "../Problem.ts"
import { Count, text, Timestamp, Uuid } from "../Schemas.ts"
import { Authorization } from "./AuthApi.ts"

export const ApiKeyId = Uuid.pipe(Schema.brand("ApiKeyId"))
export type ApiKeyId = typeof ApiKeyId.Type

export class ApiKeyNotFound extends HttpApiError.Problem<ApiKeyNotFound>()(
  "ApiKeyNotFound",
  ...problem("key_not_found", 404, "API key not found")
) {}

export class TooManyApiKeys extends HttpApiError.Problem<TooManyApiKeys>()(
  "TooManyApiKeys",
  ...problem("too_many_keys", 409, "Too many API keys", {
    limit: Count.annotate({ description: "Keys a user may have.", examples: [20] })
  })
) {}

/** Seconds that a key may live: a year. */
const maximumLife = 31_536_000

export const CreateApiKey = Schema.Struct({
  name: text(1, 60).check(Schema.isPattern(/\S/u, { message: "must not be blank" })),
  expiresIn: Schema.optionalKey(
    Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: maximumLife }))).annotate({
      description: "Seconds until the key ends; null or absent: it ends when it is deleted."
    })
  )
}).annotate({ identifier: "CreateApiKey", examples: [{ name: "Nightly report", expiresIn: 2_592_000 }] })
export type CreateApiKey = typeof CreateApiKey.Type

const common = {
  id: ApiKeyId,
  name: Schema.String,
  last4: Schema.String.annotate({ description: "The key's last four characters." }),
  createdAt: Timestamp,
  expiresAt: Schema.NullOr(Timestamp).annotate({ description: "Null: until it is deleted." })
}
const exampleCommon = {
  id: ApiKeyId.make(ids.apiKey),
  name: "Nightly report",
  last4: ada.apiKey.slice(-4),
  createdAt: times.shared,
  expiresAt: null
}

export const NewApiKey = Schema.Struct({
  ...common,
  key: Schema.String.annotate({ description: "The key. It is shown only here: the server stores a hash of it." })
}).annotate({ identifier: "NewApiKey", description: "A new API key.", examples: [{ ...exampleCommon, key: ada.apiKey }] })
export type NewApiKey = typeof NewApiKey.Type

export const exampleApiKey = { ...exampleCommon, lastUsedAt: times.midnight }
export const ApiKey = Schema.Struct({
  ...common,
  lastUsedAt: Schema.NullOr(Timestamp).annotate({ description: "The hour of its last use; null: never used." })
}).annotate({ identifier: "ApiKey", description: "An API key, without the key itself.", examples: [exampleApiKey] })
export type ApiKey = typeof ApiKey.Type

export class ApiKeysApi extends HttpApiGroup.make("apiKeys")
  .add(
    HttpApiEndpoint.post("createApiKey", "/", {
      headers: IdempotencyKey,
      payload: CreateApiKey,
      success: HttpApiSchema.WithHeaders(NewApiKey.pipe(HttpApiSchema.status(201)), { location: Schema.String, ...Replayed }),
      error: [TooManyApiKeys, IdempotencyKeyReused]
    }).annotateMerge(
      describe(
        "createApiKey",
        "Create an API key",
        "For programs: the key is sent like an access token and acts as its user. It works on `/chatroom`, `/files`, `/ai/chat`, `/search`, `/models` and `/v1`, but not for deletions; other routes answer 403 `key_not_allowed`. It ends when it is deleted, when it expires, and when the password is reset. A user may have 20 keys."
      )
    ),
    HttpApiEndpoint.get("listApiKeys", "/", {
      query: { limit: Schema.optionalKey(Limit), cursor: Schema.optionalKey(Cursor) },
      success: HttpApiSchema.WithHeaders(page(ApiKey, "ApiKeyPage", exampleApiKey), linkHeader)
    }).annotateMerge(describe("listApiKeys", "List the API keys", "Newest first, without the keys themselves.")),
    HttpApiEndpoint.delete("deleteApiKey", "/:id", {
      params: { id: ApiKeyId.annotate({ description: "The key's id.", examples: [ApiKeyId.make(ids.apiKey)] }) },
      success: HttpApiSchema.NoContent,
      error: ApiKeyNotFound
    }).annotateMerge(describe("deleteApiKey", "Delete an API key", "The key and its open streams end at once, at every process."))
  )
  .prefix("/user/keys")
  .middleware(Authorization)
  .annotate(CacheControl, noStore)
  .annotateMerge(OpenApi.annotations({ title: "API keys", description: "Keys for programs." })) {}

import { Effect, Redacted } from "effect"
import type { Environment } from "./Environment.ts"
import { fail, optional, optionalSecret, optionalUrl, text } from "./Reading.ts"

/** A bucket of an S3-compatible service. */
export interface Bucket {
  /** Without a trailing slash. */
  readonly endpoint: string
  readonly name: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
}

const requiredWithS3 = <A>(name: "S3_BUCKET" | "S3_ACCESS_KEY_ID" | "S3_SECRET_ACCESS_KEY", value: A | undefined) =>
  value === undefined ? fail(name, "is required with S3_ENDPOINT") : Effect.succeed(value)

/** Undefined when Postgres keeps the files. */
export const bucket = Effect.fnUntraced(function* (environment: Environment) {
  const endpoint = yield* optionalUrl("S3_ENDPOINT", environment === "production" ? ["https:"] : ["https:", "http:"])
  const region = yield* text("S3_REGION")
  if (endpoint === undefined) return undefined
  const name = yield* requiredWithS3("S3_BUCKET", yield* optional("S3_BUCKET"))
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name)) return yield* fail("S3_BUCKET", "must be the name of a bucket")
  const keyId = yield* requiredWithS3("S3_ACCESS_KEY_ID", yield* optionalSecret("S3_ACCESS_KEY_ID"))
  const secretAccessKey = yield* requiredWithS3("S3_SECRET_ACCESS_KEY", yield* optionalSecret("S3_SECRET_ACCESS_KEY"))
  return { endpoint, name, region, accessKeyId: Redacted.value(keyId), secretAccessKey }
})

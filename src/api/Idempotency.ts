import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"
import { problem } from "./Problem.ts"
import { text } from "./Schemas.ts"

/** The header with which a request that creates something can be repeated safely. */
export const IdempotencyKey = {
  "idempotency-key": Schema.optionalKey(
    text(1, 255).annotate({
      description: "Kept for 24 hours. The same key and body get the first response again; another body is 422.",
      examples: ["6f1c0a52-4d5e-4a6b-9a57-0d3f5f2f7c11"]
    })
  )
}

export const Replayed = { "idempotent-replayed": Schema.optionalKey(Schema.Literal("true")) }

export class IdempotencyKeyReused extends HttpApiError.Problem<IdempotencyKeyReused>()(
  "IdempotencyKeyReused",
  ...problem("idempotency_key_reused", 422, "The idempotency key was used with another request")
) {}

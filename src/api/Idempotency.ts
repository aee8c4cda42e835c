import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"
import { problem } from "./Problem.ts"
import { text } from "./Schemas.ts"

/** What a request that creates something may carry, so that it can be sent again without doing it again. */
export const IdempotencyKey = {
  "idempotency-key": Schema.optionalKey(
    text(1, 255).annotate({
      description: "Kept 24 hours: the same key and body get the first answer again, another body 422.",
      examples: ["6f1c0a52-4d5e-4a6b-9a57-0d3f5f2f7c11"]
    })
  )
}

export const Replayed = { "idempotent-replayed": Schema.optionalKey(Schema.Literal("true")) }

export class IdempotencyKeyReused extends HttpApiError.Problem<IdempotencyKeyReused>()(
  "IdempotencyKeyReused",
  ...problem("idempotency_key_reused", 422, "This idempotency key was used with another request")
) {}

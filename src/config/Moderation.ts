import { Effect } from "effect"
import type { Environment } from "./Environment.ts"
import { type Gateway, gatewayAt } from "./Gateway.ts"
import { choice, optionalSecret } from "./Reading.ts"

/** The gateway that checks texts before the model gets them, and what an error of it means. */
export interface ModerationSettings {
  readonly gateway: Gateway
  readonly fail: "open" | "closed"
}

/** Undefined when texts are not moderated. */
export const moderation = Effect.fnUntraced(function* (environment: Environment) {
  const target = yield* optionalSecret("MODERATION_URL")
  const fail = yield* choice("MODERATION_FAIL", ["closed", "open"])
  return target === undefined
    ? undefined
    : { fail, gateway: yield* gatewayAt(environment, target, "MODERATION_URL", "MODERATION_SECRET") }
})

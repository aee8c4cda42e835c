import { Effect, Redacted } from "effect"
import type { Environment } from "./Environment.ts"
import { fail, items, optionalSecret } from "./Reading.ts"
import { minimumSecret } from "./Secrets.ts"

/** The tokens of operators: two while the token is being replaced. In production a short one is refused, because it could be guessed. */
export const adminTokens = Effect.fnUntraced(function* (environment: Environment) {
  const list = yield* optionalSecret("ADMIN_TOKEN")
  const tokens = items(list === undefined ? "" : Redacted.value(list))
  return environment === "production" && tokens.some((token) => token.length < minimumSecret)
    ? yield* fail("ADMIN_TOKEN", `must have at least ${minimumSecret} characters in production`)
    : tokens.map((token) => Redacted.make(token))
})

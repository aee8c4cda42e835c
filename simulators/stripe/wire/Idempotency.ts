import type { Account } from "../Account.ts"
import type { RememberedAnswer } from "../State.ts"
import { StripeError } from "./StripeError.ts"

/** Stripe forgets a key once it is at least a day old: https://docs.stripe.com/api/idempotent_requests */
const LIFE_SECONDS = 86_400

/** The answer this key already has; another request under the same key is refused. */
export const recall = (account: Account, key: string, request: string): RememberedAnswer | undefined => {
  const { answers } = account.state
  const answer = Object.hasOwn(answers, key) ? answers[key] : undefined
  if (!answer) return undefined
  if (account.now() - answer.at > LIFE_SECONDS) {
    delete answers[key]
    return undefined
  }
  if (answer.request === request) return answer
  throw new StripeError(
    400,
    "Keys for idempotent requests can only be used with the same parameters they were first used with. " +
      `Try using a key other than '${key}' if you meant to execute a different request.`,
    { type: "idempotency_error" }
  )
}

export const remember = (account: Account, key: string, answer: Omit<RememberedAnswer, "at">) => {
  const { answers } = account.state
  answers[key] = { ...answer, at: account.now() }
  for (const [old, { at }] of Object.entries(answers)) {
    if (account.now() - at <= LIFE_SECONDS) break
    delete answers[old]
  }
}

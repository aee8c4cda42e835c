import type { Account } from "../Account.ts"
import { daySeconds } from "../objects/Base.ts"
import type { RememberedAnswer } from "../State.ts"
import { StripeError } from "./StripeError.ts"

/** Stripe may remove a key once it is a day old: https://docs.stripe.com/api/idempotent_requests */
const lifetimeSeconds = daySeconds

/** The stored answer of this key; another request with the same key is refused. */
export const recall = (account: Account, key: string, request: string): RememberedAnswer | undefined => {
  const { answers } = account.state
  const answer = Object.hasOwn(answers, key) ? answers[key] : undefined
  if (!answer) return undefined
  if (account.now() - answer.at > lifetimeSeconds) {
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
    if (account.now() - at <= lifetimeSeconds) break
    delete answers[old]
  }
}

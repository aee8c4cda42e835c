import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { isInCookie } from "../api/tokens.ts"
import {
  cancelSubscription,
  loadMe,
  loadSubscription,
  me,
  openCheckout,
  openPortal,
  reactivate,
  type Subscription
} from "../state/account.ts"
import { attempt } from "../state/attempt.ts"
import { day } from "../text/format.ts"
import { HttpButton } from "./HttpButton.tsx"
import { Loaded } from "./Loaded.tsx"
import { QuotaMeter } from "./QuotaMeter.tsx"
import { useLoaded } from "./useLoaded.ts"

/** What there is to know of a subscription, in the order of its weight. */
const factsOf = ({ cancelAt, currentPeriodEnd, graceEndsAt, tier }: Subscription): ReadonlyArray<string> => [
  ...(graceEndsAt === null ? [] : [`An invoice is open. Pro ends on ${day(graceEndsAt)} unless it is paid.`]),
  ...(cancelAt === null ? [] : [`Pro ends on ${day(cancelAt)}.`]),
  ...(tier === "pro" && cancelAt === null && currentPeriodEnd !== null ? [`Renews on ${day(currentPeriodEnd)}.`] : [])
]

/** Leads to a page of Stripe: in this tab when the session outlives the page, else from a link that opens another tab. */
const useLeaving = () => {
  const address = useSignal<string | undefined>(undefined)
  const leave = async (open: () => Promise<string>) => {
    const url = await attempt(open)
    if (url === undefined) return
    if (isInCookie()) location.assign(url)
    else address.value = url
  }
  return { address, leave }
}

export const Plan = () => {
  const loaded = useLoaded(loadSubscription)
  const { address, leave } = useLeaving()
  const refresh = () => void Promise.all([loaded.reload(), loadMe().catch(() => {})])
  useEffect(() => {
    addEventListener("focus", refresh)
    return () => removeEventListener("focus", refresh)
  }, [])
  const change = (action: () => Promise<Subscription>) => () => void attempt(action).then(refresh)
  return (
    <Loaded from={loaded}>
      {(subscription) => (
        <>
          <div class="plan">
            <h3>
              {subscription.tier === "pro" ? "Pro" : "Basic"}
              <HttpButton
                label="plan"
                operations={[
                  "GET /subscription/status",
                  "POST /subscribe/pro",
                  "POST /subscription/portal",
                  "POST /subscription/cancel",
                  "POST /subscription/reactivate"
                ]}
              />
            </h3>
            {factsOf(subscription).map((fact) => (
              <p key={fact}>{fact}</p>
            ))}
            <QuotaMeter />
          </div>
          <div class="dialog-actions">
            {subscription.tier === "basic" && (
              <button type="button" class="button main" onClick={() => void leave(openCheckout)}>
                Upgrade to Pro
              </button>
            )}
            {subscription.status !== null && (
              <button type="button" class="button" onClick={() => void leave(openPortal)}>
                Cards and invoices
              </button>
            )}
            {subscription.tier === "pro" && subscription.cancelAt === null && (
              <button type="button" class="button" onClick={change(cancelSubscription)}>
                Cancel Pro
              </button>
            )}
            {subscription.cancelAt !== null && (
              <button type="button" class="button main" onClick={change(reactivate)}>
                Keep Pro
              </button>
            )}
          </div>
          {address.value !== undefined && (
            <p class="outcome">
              <a href={address.value} target="_blank" rel="noopener">
                Continue at Stripe
              </a>{" "}
              in another tab. This page follows when you come back.
            </p>
          )}
          {me.value?.tier === "basic" && <p class="hint">Pro has more prompts a day, longer answers and more models.</p>}
        </>
      )}
    </Loaded>
  )
}

import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { isInCookie } from "../api/tokens.ts"
import {
  cancelSubscription,
  loadMe,
  loadPlans,
  loadSubscription,
  openCheckout,
  openPortal,
  plans,
  reactivate,
  type Subscription,
  tierName
} from "../state/account.ts"
import { attempt } from "../state/attempt.ts"
import { day, price } from "../text/format.ts"
import { HttpButton } from "./HttpButton.tsx"
import { Loaded } from "./Loaded.tsx"
import { Offers } from "./Offers.tsx"
import { QuotaMeter } from "./QuotaMeter.tsx"
import { useLoaded } from "./useLoaded.ts"

/** The discount in words: `20% off (SPRING) until 3 Mar 2027`. */
const discountText = ({ amountOff, code, currency, endsAt, name, percentOff }: NonNullable<Subscription["discount"]>): string => {
  const off = percentOff === null ? price(amountOff ?? 0, currency ?? "usd") : `${percentOff}%`
  const label = code ?? name
  return `${off} off${label === null ? "" : ` (${label})`}${endsAt === null ? "" : ` until ${day(endsAt)}`}.`
}

/** What there is to know of a subscription, in the order of its weight. */
const factsOf = (subscription: Subscription): ReadonlyArray<string> => {
  const { cancelAt, currentPeriodEnd, discount, graceEndsAt, interval, tier, trialEndsAt } = subscription
  const name = tierName(tier)
  const renews = tier !== "basic" && cancelAt === null && trialEndsAt === null && currentPeriodEnd !== null
  return [
    ...(graceEndsAt === null ? [] : [`An invoice is open. ${name} ends on ${day(graceEndsAt)} unless it is paid.`]),
    ...(trialEndsAt === null ? [] : [`The trial ends on ${day(trialEndsAt)}.`]),
    ...(cancelAt === null ? [] : [`${name} ends on ${day(cancelAt)}.`]),
    ...(renews ? [`Renews on ${day(currentPeriodEnd)}${interval === null ? "" : `, by the ${interval}`}.`] : []),
    ...(discount === null ? [] : [discountText(discount)])
  ]
}

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

/** Whether a subscriber can change to another price. */
const hasChoice = (): boolean => plans.value.flatMap(({ prices }) => prices).length > 1

interface SummaryProps {
  readonly subscription: Subscription
}

/** The plan that a user has, and what is left of the day's prompts. */
const Summary = ({ subscription }: SummaryProps) => (
  <div class="plan">
    <h3>
      {tierName(subscription.tier)}
      <HttpButton
        label="plan"
        operations={[
          "GET /subscription/status",
          "GET /plans",
          "POST /subscribe/:plan",
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
)

interface ActionsProps extends SummaryProps {
  readonly change: (action: () => Promise<Subscription>) => () => void
  readonly openPortal: () => void
}

const Actions = ({ change, openPortal, subscription }: ActionsProps) => (
  <div class="dialog-actions">
    {subscription.status !== null && (
      <button type="button" class="button" onClick={openPortal}>
        {subscription.tier !== "basic" && hasChoice() ? "Change the plan, cards and invoices" : "Cards and invoices"}
      </button>
    )}
    {subscription.tier !== "basic" && subscription.cancelAt === null && (
      <button type="button" class="button" onClick={change(cancelSubscription)}>
        Cancel {tierName(subscription.tier)}
      </button>
    )}
    {subscription.cancelAt !== null && (
      <button type="button" class="button main" onClick={change(reactivate)}>
        Keep {tierName(subscription.tier)}
      </button>
    )}
  </div>
)

const StripeLink = ({ address }: { readonly address: string }) => (
  <p class="outcome">
    <a href={address} target="_blank" rel="noopener">
      Continue at Stripe
    </a>{" "}
    in another tab. This page follows when you come back.
  </p>
)

export const Plan = () => {
  const loaded = useLoaded(async () => {
    const [subscription] = await Promise.all([loadSubscription(), loadPlans()])
    return subscription
  })
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
          <Summary subscription={subscription} />
          {subscription.tier === "basic" && (
            <Offers choose={(plan, interval) => void leave(() => openCheckout(plan, interval))} />
          )}
          <Actions subscription={subscription} change={change} openPortal={() => void leave(openPortal)} />
          {address.value !== undefined && <StripeLink address={address.value} />}
        </>
      )}
    </Loaded>
  )
}

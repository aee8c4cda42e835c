import { useSignal } from "@preact/signals"
import { type PlanInfo, plans } from "../state/account.ts"
import { count, counted, price } from "../text/format.ts"

type Price = PlanInfo["prices"][number]

const priceText = ({ amount, currency, interval, taxBehavior }: Price): string =>
  `${amount === null ? "Price at Stripe" : price(amount, currency)} a ${interval}${taxBehavior === "exclusive" ? ", plus tax" : ""}`

const promptsText = ({ limits: { dailyPrompts } }: PlanInfo): string =>
  dailyPrompts === null ? "As many prompts as you like" : `${count(dailyPrompts)} prompts a day`

interface Props {
  /** Leads to the checkout of the plan. */
  readonly choose: (plan: string, interval: string) => void
}

/** The plans that can be bought, with their prices. */
export const Offers = ({ choose }: Props) => {
  const sold = plans.value.filter(({ prices }) => prices.length > 0)
  const intervals = [...new Set(sold.flatMap(({ prices }) => prices.map(({ interval }) => interval)))]
  const chosen = useSignal<string | undefined>(undefined)
  const interval = chosen.value ?? intervals[0]
  return (
    <>
      {intervals.length > 1 && (
        <div class="segments" role="group" aria-label="How often to pay">
          {intervals.map((name) => (
            <button key={name} type="button" aria-pressed={interval === name} onClick={() => (chosen.value = name)}>
              {name === "year" ? "By the year" : "By the month"}
            </button>
          ))}
        </div>
      )}
      {sold.map((plan) => {
        const own = plan.prices.find((each) => each.interval === interval) ?? plan.prices[0]
        return (
          own !== undefined && (
            <section key={plan.id} class="plan offer" aria-label={plan.name}>
              <h3>{plan.name}</h3>
              <p>
                <strong>{priceText(own)}</strong>
                {plan.trialDays > 0 && <span class="tag">{counted(plan.trialDays, "day")} free the first time</span>}
              </p>
              <p class="hint">
                {promptsText(plan)}, {counted(plan.models.length, "model")}, {count(plan.limits.dailySearches)} searches a day
              </p>
              <div class="dialog-actions">
                <button type="button" class="button main" onClick={() => choose(plan.id, own.interval)}>
                  Upgrade to {plan.name}
                </button>
              </div>
            </section>
          )
        )
      })}
    </>
  )
}

import { me } from "../state/account.ts"
import { count, counted, money, until } from "../text/format.ts"

interface MeterProps {
  readonly label: string
  readonly used: number
  readonly limit: number
  readonly text: string
}

const Meter = ({ label, limit, text, used }: MeterProps) => (
  <div class="meter">
    <span>{text}</span>
    <meter aria-label={label} min={0} max={limit} value={Math.min(used, limit)} high={limit * 0.8} optimum={0}>
      {text}
    </meter>
  </div>
)

/** The day's prompts and, where there is one, the day's budget, with the time of their reset. */
export const QuotaMeter = () => {
  const user = me.value
  if (user === undefined) return null
  const { budget, limit, remaining, resetsAt, used } = user.quota
  const spent = (budget?.spentMicros ?? 0) + (budget?.reservedMicros ?? 0)
  return (
    <div class="quota">
      {limit === null || remaining === null ? (
        <p>{counted(used, "prompt")} today, without a limit</p>
      ) : (
        <Meter
          label="Prompts used today"
          used={used}
          limit={limit}
          text={`${count(remaining)} of ${counted(limit, "prompt")} left`}
        />
      )}
      {budget !== null && (
        <Meter
          label="Budget used today"
          used={spent}
          limit={budget.limitMicros}
          text={`${money(Math.max(0, budget.limitMicros - spent))} of ${money(budget.limitMicros)} left`}
        />
      )}
      <p class="hint">Resets in {until(resetsAt)}</p>
    </div>
  )
}

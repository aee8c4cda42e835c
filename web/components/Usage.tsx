import { useSignal } from "@preact/signals"
import { type Day, loadUsage } from "../state/account.ts"
import { count, money } from "../text/format.ts"
import { Chart } from "./Chart.tsx"
import { HttpButton } from "./HttpButton.tsx"
import { Loaded } from "./Loaded.tsx"
import { useLoaded } from "./useLoaded.ts"

/** As many days as have room for their numbers. */
const shownDays = () => (innerWidth < 480 ? 7 : 14)
const dayMillis = 86_400_000

const measures = {
  prompts: { label: "Prompts", of: ({ prompts }: Day) => prompts, show: count },
  tokens: {
    label: "Tokens",
    of: ({ promptTokens, replyTokens, thoughtTokens, toolTokens }: Day) =>
      promptTokens + replyTokens + thoughtTokens + toolTokens,
    show: count
  },
  cost: { label: "Cost", of: ({ costMicros }: Day) => costMicros, show: money }
} as const
type Measure = keyof typeof measures

/** The last days, those without a prompt included. */
const lastDays = (): ReadonlyArray<string> =>
  Array.from({ length: shownDays() }, (_, index) =>
    new Date(Date.now() - index * dayMillis).toISOString().slice(0, 10)
  ).toReversed()

export const Usage = () => {
  const loaded = useLoaded(loadUsage)
  const measure = useSignal<Measure>("prompts")
  const { label, of, show } = measures[measure.value]
  return (
    <>
      <div class="row">
        <div class="segments" role="group" aria-label="What is shown">
          {(["prompts", "tokens", "cost"] as const).map((name) => (
            <button key={name} type="button" aria-pressed={measure.value === name} onClick={() => (measure.value = name)}>
              {measures[name].label}
            </button>
          ))}
        </div>
        <HttpButton label="usage" operations={["GET /user/usage"]} />
      </div>
      <Loaded from={loaded}>
        {(days) => {
          const byDay = new Map(days.map((day) => [day.day, day]))
          const bars = lastDays().map((name) => {
            const known = byDay.get(name)
            const value = known === undefined ? 0 : of(known)
            return { name, value, text: show(value) }
          })
          return <Chart caption={`${label} by day (UTC)`} bars={bars} />
        }}
      </Loaded>
    </>
  )
}

import type { Evidence } from "./Evidence.ts"
import { isUnsure, type Ledger, replyIdsOf, type Rule, rules } from "./Ledger.ts"
import type { Call } from "./Model.ts"
import type { Experiment } from "./Experiment.ts"

/** Counts concurrent calls of one room: a worker that has lost its lease keeps writing until it notices. */
const overlaps = (calls: ReadonlyArray<Call>): number => {
  const roomOf = ({ marker }: Call) => marker.split(".").slice(0, 2).join(".")
  let count = 0
  for (const callsOfRoom of Map.groupBy(
    calls.filter(({ marker }) => marker !== ""),
    roomOf
  ).values()) {
    let busyUntil = 0
    for (const { at, endedAt = Infinity } of callsOfRoom) {
      if (at < busyUntil) count++
      busyUntil = Math.max(busyUntil, endedAt)
    }
  }
  return count
}

/** Adds the figures from the database and the model to the ledger. */
export const noteFigures = ({ ledger, model, processes }: Experiment, { replies }: Evidence): void => {
  const lost = processes.flatMap(({ incarnations }) =>
    incarnations.map((incarnation) => incarnation.output().split("LeaseLost").length - 1)
  )
  ledger.count(
    "mentions of a lost lease in the logs",
    lost.reduce((sum, count) => sum + count, 0)
  )
  for (const { error_code, status } of replies) ledger.count(`ends: ${status}${error_code === null ? "" : ` ${error_code}`}`)
  ledger.count("replies with more than one attempt", replies.filter(({ attempt }) => attempt > 1).length)
  ledger.most("most attempts of a reply", Math.max(0, ...replies.map(({ attempt }) => attempt)))
  ledger.count("units of quota refunded", replies.filter(({ quota_state }) => quota_state === "refunded").length)
  ledger.count("calls of the model", model.calls.length)
  ledger.count("calls given up by their caller", model.calls.filter(({ aborted }) => aborted).length)
  ledger.count("calls that overlap another of their room (lost leases)", overlaps(model.calls))
  ledger.count(
    "sends without a sure answer",
    ledger.questions.filter((question) => replyIdsOf(question).size === 0 && question.answers.some(isUnsure)).length
  )
  ledger.count("ends seen by clients", ledger.shown.length)
  const ages = replies.flatMap(({ completed_at, created_at }) =>
    completed_at === null ? [] : [completed_at.getTime() - created_at.getTime()]
  )
  ledger.most("longest from question to end (s)", Math.round(Math.max(0, ...ages) / 1_000))
}

const seconds = (millis: number) => (millis === Infinity ? "never" : (millis / 1_000).toFixed(1))

/** Median and maximum in seconds. */
const spread = (times: ReadonlyArray<number>): string => {
  const sorted = times.toSorted((a, b) => a - b)
  const median = sorted[Math.floor((sorted.length - 1) / 2)]
  return median === undefined ? "-" : `${seconds(median)} / ${seconds(sorted.at(-1) ?? median)}`
}

/** The table of figures, recovery times, and the number of violations of every rule. */
export const table = ({ figures, recoveries, violations }: Ledger): string => {
  const broken = Map.groupBy(violations, ({ rule }) => rule)
  const row = (name: string, value: number) => `  ${name.padEnd(64)} ${String(value).padStart(8)}`
  return [
    "figures",
    ...[...figures].sort(([a], [b]) => a.localeCompare(b)).map(([name, value]) => row(name, value)),
    "recovery in seconds, median / maximum",
    `  ${"after".padEnd(44)} ${"times".padStart(5)} ${"first answer".padStart(16)} ${"first reply".padStart(16)}`,
    ...[...recoveries]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(
        ([name, { answer, reply }]) =>
          `  ${name.padEnd(44)} ${String(reply.length).padStart(5)} ${spread(answer).padStart(16)} ${spread(reply).padStart(16)}`
      ),
    "violations",
    ...(Object.keys(rules) as Array<Rule>).map((rule) => row(rule, broken.get(rule)?.length ?? 0))
  ].join("\n")
}

/** The first few violations of each rule, and all disruptions. */
export const details = ({ disruptions, violations }: Ledger): string => {
  const first = [...Map.groupBy(violations, ({ rule }) => rule)].flatMap(([rule, broken]) => [
    `${rule}: ${rules[rule]}`,
    ...broken.slice(0, 4).map(({ detail }) => `  ${detail.slice(0, 1_500)}`)
  ])
  return ["disruptions", ...disruptions.map((disruption) => `  ${disruption}`), "violations", ...first].join("\n")
}

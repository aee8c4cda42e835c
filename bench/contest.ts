import type { Target, Window } from "./load.ts"
import { calm, residentMiB } from "./process.ts"
import { cost, rate } from "./rounds.ts"
import { byProcess, latency, median, number, ratio, table } from "./table.ts"

/** How long a benchmark takes. */
export interface Effort {
  readonly rounds: number
  /** Of a round, and of the load before the first one, for the just-in-time compiler. */
  readonly seconds: number
  readonly warmUp: number
  /** Whether to wait for a quiet machine before a round. */
  readonly isPatient: boolean
}

/** A server under the load of a path: the product, or a reference. */
export interface Contender {
  readonly name: string
  readonly target: Target
  /** Its processes; the first is the server. */
  readonly pids: Readonly<Record<string, number>>
}

/** What a contender has done in the rounds. */
export interface Result {
  readonly name: string
  readonly pids: Readonly<Record<string, number>>
  readonly windows: ReadonlyArray<Window>
  readonly memory: Readonly<Record<string, number>>
}

type Load = (target: Target, seconds: number, pids: Readonly<Record<string, number>>) => Promise<Window>

/** All contenders in each round, so that other load on the machine affects them alike. */
export const contest = async (
  load: Load,
  contenders: ReadonlyArray<Contender>,
  effort: Effort,
  afterWarmUp: () => Promise<void> = () => Promise.resolve()
): Promise<ReadonlyArray<Result>> => {
  const windows = contenders.map((): Array<Window> => [])
  for (const { pids, target } of contenders) await load(target, effort.warmUp, pids)
  await afterWarmUp()
  for (let round = 0; round < effort.rounds; round++) {
    if (effort.isPatient) await calm()
    for (const [index, { pids, target }] of contenders.entries()) windows[index]?.push(await load(target, effort.seconds, pids))
  }
  return contenders.map(({ name, pids }, index) => ({
    name,
    pids,
    windows: windows[index] ?? [],
    memory: Object.fromEntries(
      Object.entries(pids).flatMap(([process, pid]) => (process === "Postgres" ? [] : [[process, residentMiB(pid)]]))
    )
  }))
}

/** A line of the table: a path of the product, against a reference or alone. */
export interface Line {
  readonly path: string
  readonly against: string
  readonly ratio?: string
  readonly product: string
  readonly reference?: string
  readonly productLatency?: string
  readonly referenceLatency?: string
  readonly productCost?: string
  readonly referenceCost?: string
  readonly productMemory?: string
  readonly referenceMemory?: string
  /** Wrong answers; a benchmark without any is right. */
  readonly faults: ReadonlyArray<string>
}

const columns: ReadonlyArray<readonly [Exclude<keyof Line, "faults">, string]> = [
  ["path", "Path"],
  ["against", "Against"],
  ["ratio", "Ratio (rounds)"],
  ["product", "Product"],
  ["reference", "Reference"],
  ["productLatency", "Product p50 / p99, ms"],
  ["referenceLatency", "Reference p50 / p99, ms"],
  ["productCost", "Product CPU, µs each"],
  ["referenceCost", "Reference CPU, µs each"],
  ["productMemory", "Product MiB"],
  ["referenceMemory", "Reference MiB"]
]

/** As a Markdown table. */
export const linesTable = (lines: ReadonlyArray<Line>): string =>
  table(
    columns.map(([, title]) => title),
    lines.map((line) => columns.map(([key]) => line[key] ?? "–"))
  )

/** The quotient of each round: its median, and the least and the greatest. */
export const quotients = (values: ReadonlyArray<number>): string =>
  `${ratio(median(values))} (${ratio(Math.min(...values))}–${ratio(Math.max(...values))})`

const cells = ({ memory, pids, windows }: Result, status: string) => ({
  rate: `${number(median(windows.map((window) => rate(window, status))))}/s`,
  latency: latency(median(windows.map(({ p50 }) => p50)), median(windows.map(({ p99 }) => p99))),
  cost: byProcess(
    Object.fromEntries(Object.keys(pids).map((name) => [name, median(windows.map((window) => cost(window, status, name)))])),
    0
  ),
  memory: byProcess(memory, 0)
})

/** Answers of another status than the expected one. */
const faultsOf = ({ name, windows }: Result, status: string): ReadonlyArray<string> => {
  const wrong = windows.flatMap(({ statuses }) => Object.entries(statuses).filter(([code]) => code !== status))
  const none = windows.some((window) => rate(window, status) === 0) ? [`${name}: a round without answers`] : []
  return [...none, ...wrong.map(([code, times]) => `${name}: ${times} × ${code}`)]
}

/** The product beside one reference. */
export const compare = (path: string, status: string, product: Result, reference: Result | undefined, against: string): Line => {
  const ours = cells(product, status)
  const alone = {
    path,
    against,
    product: ours.rate,
    productLatency: ours.latency,
    productCost: ours.cost,
    productMemory: ours.memory
  }
  if (reference === undefined) return { ...alone, reference: "no Redis here", faults: faultsOf(product, status) }
  const theirs = cells(reference, status)
  return {
    ...alone,
    ratio: quotients(
      product.windows.map((window, index) => rate(window, status) / rate(reference.windows[index] ?? window, status))
    ),
    reference: theirs.rate,
    referenceLatency: theirs.latency,
    referenceCost: theirs.cost,
    referenceMemory: theirs.memory,
    faults: [...faultsOf(product, status), ...faultsOf(reference, status)]
  }
}

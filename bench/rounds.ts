import type { Driver, Target, Window } from "./load.ts"
import { byProcess, latency, median, ratio, type Row, spread } from "./table.ts"

/** Seconds of load before a measurement, for the just-in-time compiler. */
export const warmUpSeconds = 2

export interface Plan {
  readonly rounds: number
  /** Of each round. */
  readonly seconds: number
}

/** Answers with this status per second. */
export const rate = (window: Window, status: string): number => (window.statuses[status] ?? 0) / window.seconds

/** Microseconds of CPU that a process used for one answer. */
export const cost = (window: Window, status: string, name: string): number =>
  ((window.cores[name] ?? Number.NaN) / rate(window, status)) * 1e6

/** The medians of a target's rounds as cells of a row, with the number of answers of any other status. */
export const summary = (windows: ReadonlyArray<Window>, status: string, pids: Readonly<Record<string, number>>) => {
  const others = new Map<string, number>()
  for (const [code, count] of windows.flatMap(({ statuses }) => Object.entries(statuses))) {
    if (code !== status) others.set(code, (others.get(code) ?? 0) + count)
  }
  const medians = (names: ReadonlyArray<string>, of: (window: Window, name: string) => number) =>
    Object.fromEntries(names.map((name) => [name, median(windows.map((window) => of(window, name)))]))
  return {
    measured:
      spread(
        windows.map((window) => rate(window, status)),
        "/s"
      ) + [...others].map(([code, count]) => `; ${count} × ${code}`).join(""),
    latency: latency(median(windows.map(({ p50 }) => p50)), median(windows.map(({ p99 }) => p99))),
    cost: byProcess(
      medians(Object.keys(pids), (window, name) => cost(window, status, name)),
      0
    ),
    cores: byProcess(
      medians(Object.keys(windows[0]?.cores ?? {}), ({ cores }, name) => cores[name] ?? Number.NaN),
      2
    )
  } satisfies Partial<Row>
}

/** Rounds of one target alone. */
export const alone = async (driver: Driver, target: Target, pids: Readonly<Record<string, number>>, plan: Plan) => {
  const windows: Array<Window> = []
  await driver.run(target, warmUpSeconds, pids)
  for (let round = 0; round < plan.rounds; round++) windows.push(await driver.run(target, plan.seconds, pids))
  return windows
}

/**
 * Rounds of the product and of the reference in turn, so that other load on the machine affects both. Compares the
 * rates of neighbouring rounds, and the CPU time that each server used for an answer.
 */
export const beside = async (
  driver: Driver,
  product: { readonly target: Target; readonly pids: Readonly<Record<string, number>> },
  reference: { readonly port: number; readonly pid: number },
  status: string,
  plan: Plan
): Promise<Omit<Row, "what">> => {
  const [server = ""] = Object.keys(product.pids)
  const other: Target = { ...product.target, port: reference.port }
  const otherPids = { reference: reference.pid }
  const ours: Array<Window> = []
  const theirs: Array<Window> = []
  await driver.run(product.target, warmUpSeconds, product.pids)
  await driver.run(other, warmUpSeconds, otherPids)
  for (let round = 0; round < plan.rounds; round++) {
    ours.push(await driver.run(product.target, plan.seconds, product.pids))
    theirs.push(await driver.run(other, plan.seconds, otherPids))
  }
  return compareRounds(ours, theirs, status, product.pids, server)
}

/** The cells of the product's rounds beside those of the reference. */
export const compareRounds = (
  ours: ReadonlyArray<Window>,
  theirs: ReadonlyArray<Window>,
  status: string,
  pids: Readonly<Record<string, number>>,
  server: string
): Omit<Row, "what"> => {
  const compare = (of: (ours: Window, theirs: Window) => number) =>
    ratio(median(ours.map((window, index) => of(window, theirs[index] ?? window))))
  const rates = compare((our, their) => rate(our, status) / rate(their, status))
  const costs = compare((our, their) => cost(their, status, "reference") / cost(our, status, server))
  const floor = summary(theirs, status, { reference: 0 })
  return {
    ...summary(ours, status, pids),
    reference: `${floor.measured}; ${floor.cost} µs; ${floor.cores}`,
    ratio: `${rates}; by CPU ${costs}`
  }
}

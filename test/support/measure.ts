/** The milliseconds of the quickest of three runs: a busy machine slows some of them, a missed wake-up slows all. */
export const quickest = async (work: () => Promise<unknown>): Promise<number> => {
  const took: Array<number> = []
  for (let round = 0; round < 3; round++) {
    const began = performance.now()
    await work()
    took.push(performance.now() - began)
  }
  return Math.min(...took)
}

export const percentile = (values: ReadonlyArray<number>, share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0

export const spread = (values: ReadonlyArray<number>): string =>
  [
    ["p50", 0.5],
    ["p99", 0.99],
    ["max", 1]
  ]
    .map(([name, share]) => `${name} ${percentile(values, Number(share)).toFixed(1)} ms`)
    .join(", ")

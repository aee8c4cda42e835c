import type { Effort, Line } from "./contest.ts"
import type { Stage } from "./stage.ts"
import { measureStreams, setups } from "./streamRounds.ts"
import { byProcess, median, number, latency } from "./table.ts"

/** What streaming adds to the pieces of many replies that are written and followed at once. */
export const streams = async (stage: Stage, effort: Effort): Promise<ReadonlyArray<Line>> => {
  const setup = setups["separate"]
  if (setup === undefined) throw new Error("there is no such set-up")
  const amount = effort.rounds === 1 ? { streams: 20, rate: 20, millis: 3_000 } : { streams: 2_000, rate: 20 }
  await stage.simulator.reset({})
  const { memory, rounds } = await measureStreams(stage, setup, amount, effort.rounds)
  const middle = (of: (round: (typeof rounds)[number]) => number) => median(rounds.map(of))
  const wrong = rounds.reduce((sum, round) => sum + round.wrong, 0)
  const names = Object.keys(rounds[0]?.cores ?? {}).filter((name) => !/reader|idle|others/.test(name))
  const each = (name: string) => middle(({ chunkRate, cores }) => ((cores[name] ?? Number.NaN) / chunkRate) * 1e6)
  return [
    {
      path: `${number(amount.streams)} streams of ${amount.rate} pieces a second, added to each piece`,
      against: "–",
      product: `${number(middle(({ chunkRate }) => chunkRate))} pieces/s`,
      productLatency: latency(
        middle(({ p50 }) => p50),
        middle(({ p99 }) => p99)
      ),
      productCost: byProcess(Object.fromEntries(names.map((name) => [name, each(name)])), 0),
      productMemory: byProcess(memory, 0),
      faults: wrong > 0 ? [`${wrong} wrong texts`] : []
    }
  ]
}

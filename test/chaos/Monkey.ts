import { setTimeout as sleep } from "node:timers/promises"
import {
  attack,
  breakModel,
  type Disruption,
  end,
  isolate,
  restartPostgres,
  type Scene,
  silenceConnections,
  skewClock,
  stallModel,
  suspendApi,
  suspendWorker
} from "./Disruptions.ts"
import type { Random } from "./Random.ts"

const gentle: ReadonlyArray<Disruption> = [
  end("api", "SIGKILL"),
  end("worker", "SIGKILL"),
  end("api", "SIGTERM"),
  end("worker", "SIGTERM"),
  end("worker", "SIGKILL"),
  silenceConnections("api"),
  silenceConnections("worker"),
  suspendApi,
  skewClock,
  restartPostgres("stop", 1),
  breakModel,
  breakModel
]
const harsh: ReadonlyArray<Disruption> = [
  ...gentle,
  end("api", "SIGKILL"),
  suspendWorker,
  suspendWorker,
  suspendWorker,
  isolate,
  skewClock,
  attack,
  attack,
  restartPostgres("stop", 8),
  restartPostgres("stop", 40),
  restartPostgres("crash", 1),
  breakModel,
  stallModel
]

/** Waits until the last disruption is over and recovered from. */
const calm = async ({ processes, recovery }: Scene, until: number): Promise<void> => {
  while (Date.now() < until && !processes.every(({ isRunning }) => isRunning)) await sleep(100)
  await recovery.finished()
}

/** Disrupts the processes until the time is over: every kind of disruption once in random order, then again. */
export const disrupt = async (
  scene: Scene,
  random: Random,
  { isHarsh, isPaced, seconds }: { readonly seconds: number; readonly isHarsh: boolean; readonly isPaced: boolean }
): Promise<void> => {
  const until = Date.now() + seconds * 1_000
  const endEarly = new AbortController()
  let deck: Array<Disruption> = []
  while (Date.now() < until) {
    await sleep(Math.min(random.between(600, isHarsh ? 4_500 : 3_500), Math.max(0, until - Date.now())))
    if (Date.now() >= until) break
    if (deck.length === 0) deck = random.shuffled(isHarsh ? harsh : gentle)
    await deck.pop()?.(scene, random, endEarly.signal)
    if (isPaced) await calm(scene, until)
  }
  endEarly.abort()
  scene.model.clearFaults()
  scene.ledger.disruption("no more disruptions")
}

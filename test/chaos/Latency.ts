import { setTimeout as sleep } from "node:timers/promises"
import type { Api, Beside, Experiment } from "./Experiment.ts"
import { attacks, type HostileUser } from "./HostileUser.ts"
import type { SimulatedUser } from "./SimulatedUser.ts"

/** Milliseconds in which 99 of 100 requests of honest users are answered; generous, as it holds on a busy machine. */
const maximumP99 = 5_000
/** Milliseconds between the head and the body of a request, on a slow network. */
const bodyDelay = 200

/** A request whose body comes later than its head, as on a slow network. */
const renameSlowly = async (experiment: Experiment, beside: Beside, user: SimulatedUser, api: Api): Promise<void> => {
  const room = user.rooms[0]
  if (room === undefined) return
  const begun = Date.now()
  const status = await user.slowRequest(api, `/chatroom/${room.id}`, bodyDelay)
  experiment.ledger.answered(beside, "requests with a late body", status, Date.now() - begun - bodyDelay)
}

const measure = async (experiment: Experiment, beside: Beside, honest: SimulatedUser, seconds: number): Promise<void> => {
  const until = Date.now() + seconds * 1_000
  experiment.measuredBeside = beside
  while (Date.now() < until) {
    await Promise.all(experiment.apis.map((api) => renameSlowly(experiment, beside, honest, api)))
    await sleep(200)
  }
  experiment.measuredBeside = undefined
}

/**
 * Measures the answers to honest users without other disruptions: first alone for half the time, then while hostile users
 * do all they can at once.
 */
export const measureLatency = async (
  experiment: Experiment,
  hostile: HostileUser,
  honest: SimulatedUser,
  seconds: number
): Promise<void> => {
  await measure(experiment, "honest users alone", honest, seconds / 2)
  experiment.ledger.disruption(`hostile users for ${seconds} s: ${attacks.join(", ")}`)
  const ending = new AbortController()
  const attacking = attacks.map((kind, index) => hostile.attack(kind, experiment.apis[index % 2 === 0 ? 0 : 1], ending.signal))
  await sleep(1_000)
  await measure(experiment, "hostile users", honest, seconds - 1)
  ending.abort()
  await Promise.all(attacking)
  experiment.ledger.disruption("the hostile users are gone")
}

/** A refused request counts as one that is never answered. Each kind is judged alone: a few would vanish among many. */
export const latency = ({ ledger }: Experiment): void => {
  for (const [kind, latencies] of ledger.latencies) {
    const sorted = latencies.toSorted((a, b) => a - b)
    const percentile = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0
    const p99 = percentile(0.99)
    ledger.most(kind, sorted.length)
    ledger.most(`${kind}, refused`, sorted.filter((took) => took === Infinity).length)
    ledger.most(`${kind}, p50 (ms)`, percentile(0.5))
    ledger.most(`${kind}, p99 (ms)`, p99)
    if (p99 > maximumP99)
      ledger.violate("honest-latency", `p99 of ${sorted.length} (${kind}) is ${p99} ms, more than ${maximumP99} ms`)
  }
}

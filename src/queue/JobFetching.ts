import { Data } from "effect"
import type { WorkerEvents } from "graphile-worker"

/** The largest power of two that is at most `count`: each batch size is a prepared statement, so there are few. */
const batchSize = (count: number) => 2 ** Math.floor(Math.log2(Math.max(1, count)))

/** The installed version of graphile-worker has no local queue that `fetchForIdleSlots` knows. */
export class UnknownLocalQueue extends Data.TaggedError("UnknownLocalQueue")<{ readonly detail: string }> {
  override get message() {
    return `src/queue/JobFetching.ts does not fit this version of graphile-worker: ${this.detail}`
  }
}

/** The private members of graphile-worker's local queue that are replaced here, with their types. */
const replacedMembers = { fetch: "function", getJobBatchSize: "number" } as const

/** What a local queue lacks of the members that are replaced; undefined when it has them all. */
const faultOf = (localQueue: object): string | undefined => {
  const missing = Object.entries(replacedMembers).filter(([name, type]) => typeof Reflect.get(localQueue, name) !== type)
  if (missing.length === 0) return undefined
  return `its local queue has no ${missing.map(([name, type]) => `${type} ${name}`).join(" and no ")}`
}

/**
 * Makes graphile-worker fetch jobs in batches, one query at a time, and never more than it has idle slots for: a job that
 * it locked and kept would wait while another process is idle, and would run before a Pro job that came later. Its local
 * queue fetches a fixed number of jobs, also while all slots are busy; here the number follows the idle slots, and a
 * fetch that finds none waits for one.
 *
 * Returns why that did not succeed, once graphile-worker has started. It logs what a listener throws and goes on.
 */
export const fetchForIdleSlots = (events: WorkerEvents): (() => UnknownLocalQueue | undefined) => {
  let fault: string | undefined = "it announces no local queue"
  events.on("localQueue:init", ({ localQueue }) => {
    fault = faultOf(localQueue)
    const fetch: unknown = Reflect.get(localQueue, "fetch")
    if (fault !== undefined || typeof fetch !== "function") return
    let isDue = false
    // A fetch that gets as many jobs as it asked for is followed by another one, also when more slots are idle by then.
    let asked = 1
    const fetchWhenIdle = () => {
      if (localQueue.mode !== "POLLING") return
      const idle = localQueue.workerQueue.length
      isDue = idle === 0
      if (localQueue.fetchInProgress) localQueue.fetchAgain = true
      else if (!isDue) {
        asked = batchSize(idle)
        fetch()
      }
    }
    Reflect.set(localQueue, "fetch", fetchWhenIdle)
    Object.defineProperty(localQueue, "getJobBatchSize", { get: () => asked })
    events.on("worker:getJob:start", () => {
      if (!isDue) return
      isDue = false
      // Slots that become idle at the same time share the fetch.
      setImmediate(fetchWhenIdle)
    })
  })
  return () => (fault === undefined ? undefined : new UnknownLocalQueue({ detail: fault }))
}

import type { WorkerEvents } from "graphile-worker"

/** The largest power of two that is at most `count`: each batch size is a prepared statement, so there are few. */
const batchSize = (count: number) => 2 ** Math.floor(Math.log2(Math.max(1, count)))

/**
 * Makes graphile-worker fetch jobs in batches, one query at a time, and never more than it has idle slots for: a job that
 * it locked and kept would wait while another process is idle, and would run before a Pro job that came later. Its local
 * queue fetches a fixed number of jobs, also while all slots are busy; here the number follows the idle slots, and a
 * fetch that finds none waits for one.
 */
export const fetchForIdleSlots = (events: WorkerEvents): void => {
  events.on("localQueue:init", ({ localQueue }) => {
    const fetch: unknown = Reflect.get(localQueue, "fetch")
    if (typeof fetch !== "function") throw new Error("graphile-worker's local queue has no fetch")
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
}

import { setTimeout as sleep } from "node:timers/promises"
import { freePort } from "../dev/freePort.ts"
import type { Effort, Line } from "./contest.ts"
import { calm, residentMiB, startNode } from "./process.ts"
import type { Stage } from "./stage.ts"
import { byProcess, median, number } from "./table.ts"

/** Milliseconds from the start of the process to its first 200. */
const firstAnswer = async (stage: Stage, settings: Readonly<Record<string, string>>, role: string) => {
  const port = await freePort()
  const startedAt = performance.now()
  const starting = startNode(stage.entry, { ...settings, ROLE: role, PORT: String(port) }, /ready http/)
  for (;;) {
    const status = await fetch(`http://127.0.0.1:${port}/readyz`).then(
      (response) => response.status,
      () => 0
    )
    if (status === 200) break
    await sleep(5)
  }
  const millis = performance.now() - startedAt
  return { millis, running: await starting }
}

/** The start on a migrated database, and the memory of a process before its first request. */
export const idle = async (stage: Stage, effort: Effort): Promise<ReadonlyArray<Line>> => {
  const settings = stage.settings(await stage.productDatabase("bench_idle"))
  const lines: Array<Line> = []
  for (const role of ["api", "all"]) {
    const starts: Array<number> = []
    const sizes: Array<number> = []
    for (let round = 0; round < effort.rounds; round++) {
      if (effort.isPatient) await calm()
      const { millis, running } = await firstAnswer(stage, settings, role)
      starts.push(millis)
      await sleep(1_000 * effort.seconds)
      sizes.push(residentMiB(running.pid))
      await running.stop()
    }
    lines.push({
      path: `Start to the first 200, then idle, \`ROLE=${role}\``,
      against: "–",
      product: `${number(median(starts))} ms (${number(Math.min(...starts))}–${number(Math.max(...starts))})`,
      productMemory: byProcess({ [role]: median(sizes) }, 0),
      faults: sizes.some(Number.isNaN) ? ["a process is gone"] : []
    })
  }
  return lines
}

import { describe, expect, it } from "vitest"
import { runToEnd } from "../support/runToEnd.ts"

const { HOME = "", PATH = "" } = process.env
const timeout = 600_000

const runBench = async (file: string, word: string): Promise<string> => {
  const { code, stderr, stdout } = await runToEnd(file, { HOME, PATH }, [word])
  if (code !== 0) throw new Error(`${file} ended with ${code}:\n${stdout}\n${stderr}`)
  return stdout
}

/** Shows that they run and that all answers are right, in a second of load for each; asserts no time. */
describe("the benchmarks", () => {
  it("answer right in one short round of each path", { timeout }, async () => {
    expect(await runBench("bench/main.ts", "--brief")).toContain("10 lines, 0 faults")
  })

  it("read the plans of small tables", { timeout }, async () => {
    expect(await runBench("bench/growth.ts", "--tiny")).toContain("plans were read")
  })

  it("run jobs in two queues of one database", { timeout }, async () => {
    expect(await runBench("bench/jobs.ts", "--brief")).toMatch(/\| 2 \| 2 \| 100 \| [\d,]+ /)
  })
})

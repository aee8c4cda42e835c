import { readFileSync, globSync } from "node:fs"
import { assert, describe, it } from "vitest"

describe("a transaction", () => {
  it("is repeated when it loses a deadlock, wherever one is opened", () => {
    const opened = globSync("src/**/*.ts").flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/withTransaction[^\n]*\n[^\n]*/g)].map(([lines]) => ({ file, lines }))
    )
    assert.isAbove(opened.length, 3)
    for (const { file, lines } of opened) assert.match(lines, /withTransaction,\s+retryConflicts\(sql\)/, file)
  })
})

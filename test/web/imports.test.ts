import { globSync, readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"

describe("the playground", () => {
  it("imports only types of the contract, and nothing else of src", () => {
    const imports = globSync("web/**/*.{ts,tsx}", { exclude: ["web/node_modules/**"] }).flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/^import [^;"]*"([^"]*\/src\/[^"]*|effect[^"]*)"/gm)].map(
        ([statement]) => statement
      )
    )
    assert.isNotEmpty(imports)
    for (const statement of imports) assert.match(statement, /^import type .*"(?:[./]+\/src\/api\/.*|effect(?:\/http-api)?)"$/)
  })
})

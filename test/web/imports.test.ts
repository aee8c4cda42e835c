import { globSync, readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"

/** What the files import from outside their own folders. */
const importsOf = (files: string): ReadonlyArray<string> =>
  globSync(files, { exclude: ["**/node_modules/**"] }).flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/^(?:import|export) (?:[^"]*from )?"([^"]*)"/gm)].map(([, path = ""]) => path)
  )

describe("the playground and the client", () => {
  it("import nothing of the server, nor Effect", () => {
    const imports = [...importsOf("web/**/*.{ts,tsx}"), ...importsOf("client/src/*.ts")]
    assert.include(imports, "../../client/src/contract.ts")
    assert.deepStrictEqual(
      imports.filter((path) => /^(?:\.\.\/)+src\/|^effect(?:\/|$)|^node:/.test(path)),
      []
    )
  })

  it("share the client's modules, which import nothing but the parser of events", () => {
    const imports = importsOf("client/src/*.ts").filter((path) => !/^\.\/\w+\.ts$/.test(path))
    assert.deepStrictEqual([...new Set(imports)], ["eventsource-parser"])
  })
})

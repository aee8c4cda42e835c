import { readdirSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { faultsOf, folders, importsOf, importsOfSource } from "../scripts/importOrder.ts"

const faultsIn = (files: Readonly<Record<string, string>>) => faultsOf(importsOf(new Map(Object.entries(files))))

describe("the order of the folders of src", () => {
  it("names every folder", () => {
    const entries = readdirSync("src", { withFileTypes: true }).filter((entry) => entry.isDirectory())
    assert.sameMembers(
      entries.map(({ name }) => name),
      folders
    )
  })

  it("is kept by every import", () => {
    const imports = importsOfSource()
    assert.isAbove(imports.length, 300)
    assert.deepStrictEqual(faultsOf(imports), [])
  })

  it("refuses an import of a later folder, also of types", () => {
    assert.lengthOf(faultsIn({ "src/chat/A.ts": 'import type { B } from "../replies/B.ts"' }), 1)
    assert.lengthOf(faultsIn({ "src/chat/A.ts": 'const b = import("../server/B.ts")' }), 1)
    assert.lengthOf(faultsIn({ "src/chat/A.ts": 'export { b } from "../../dev/main.ts"' }), 1)
    assert.deepStrictEqual(faultsIn({ "src/replies/A.ts": 'import { b } from "../chat/B.ts"' }), [])
  })

  it("refuses a folder that it does not name", () => {
    assert.lengthOf(faultsIn({ "src/new/A.ts": 'import { b } from "../chat/B.ts"' }), 1)
  })
})

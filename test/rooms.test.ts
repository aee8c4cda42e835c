import { readdirSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { faultsOf, importsOf, importsOfSource, rooms } from "../scripts/rooms.ts"

const faultsIn = (files: Readonly<Record<string, string>>) => faultsOf(importsOf(new Map(Object.entries(files))))

describe("the rooms of src", () => {
  it("are the folders there are", () => {
    const folders = readdirSync("src", { withFileTypes: true }).filter((entry) => entry.isDirectory())
    assert.sameMembers(
      folders.map(({ name }) => name),
      rooms
    )
  })

  it("import only rooms below them", () => {
    const imports = importsOfSource()
    assert.isAbove(imports.length, 300)
    assert.deepStrictEqual(faultsOf(imports), [])
  })

  it("refuse an import of a room above, of types too", () => {
    assert.lengthOf(faultsIn({ "src/chat/A.ts": 'import type { B } from "../replies/B.ts"' }), 1)
    assert.lengthOf(faultsIn({ "src/chat/A.ts": 'const b = import("../server/B.ts")' }), 1)
    assert.lengthOf(faultsIn({ "src/chat/A.ts": 'export { b } from "../../dev/main.ts"' }), 1)
    assert.deepStrictEqual(faultsIn({ "src/replies/A.ts": 'import { b } from "../chat/B.ts"' }), [])
  })

  it("refuse a folder that is not in the order", () => {
    assert.lengthOf(faultsIn({ "src/new/A.ts": 'import { b } from "../chat/B.ts"' }), 1)
  })
})

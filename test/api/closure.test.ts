import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "vitest"

const root = "src/api/Api.ts"
const allowedPackages = ["effect", "effect/http-api", "libphonenumber-js/max"]

/** The modules that a file imports at run time: `import type` and members marked `type` are erased. */
const importsOf = (source: string): ReadonlyArray<string> => {
  const statements = source.matchAll(/^(?:import\s(?!type\b)|export\s(?=[*{]))([^"()]*?)(?:\sfrom\s*)?"([^"]+)"/gm)
  return [...statements].flatMap(([, names = "", specifier = ""]) => {
    const members =
      /\{([^}]*)\}/
        .exec(names)?.[1]
        ?.split(",")
        .map((name) => name.trim()) ?? []
    const isErased = members.length > 0 && members.every((name) => name === "" || name.startsWith("type "))
    return isErased ? [] : [specifier]
  })
}

/** Every file that `file` loads, with the packages that those files load. */
const closureOf = (file: string, files = new Map<string, ReadonlyArray<string>>()) => {
  if (files.has(file)) return files
  const imports = importsOf(readFileSync(file, "utf8"))
  files.set(
    file,
    imports.filter((specifier) => !specifier.startsWith("."))
  )
  for (const specifier of imports) if (specifier.startsWith(".")) closureOf(join(dirname(file), specifier), files)
  return files
}

describe("the contract in src/api", () => {
  it("loads only its own files and the packages that run in a browser", () => {
    const files = closureOf(root)
    assert.isAbove(files.size, 30)
    for (const [file, packages] of files) {
      assert.isTrue(file.startsWith("src/api/"), `${file} is not part of src/api`)
      for (const name of packages) assert.include(allowedPackages, name, `imported by ${file}`)
    }
  })

  it("is the package's export ./api", () => {
    assert.deepStrictEqual(JSON.parse(readFileSync("package.json", "utf8")).exports, { "./api": `./${root}` })
  })
})

import { readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"

interface Locked {
  readonly version?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8")) as {
  readonly packages: Readonly<Record<string, Locked>>
}
const project = JSON.parse(readFileSync("package.json", "utf8")) as Locked

/** The places where Node looks for a package that `from` imports, the nearest first. */
const placesOf = (from: string, name: string): ReadonlyArray<string> => {
  const parts = from === "" ? [] : from.split("/node_modules/")
  return [...parts.keys(), parts.length].toReversed().map((depth) => [...parts.slice(0, depth), name].join("/node_modules/"))
}

describe("the lock file", () => {
  it("has the packages of every platform, which npm ci requires", () => {
    const missing = Object.entries(packages).flatMap(([from, { dependencies, optionalDependencies }]) =>
      Object.keys({ ...dependencies, ...optionalDependencies }).filter(
        (name) => !placesOf(from.replace(/^node_modules\//, ""), name).some((place) => `node_modules/${place}` in packages)
      )
    )
    assert.deepStrictEqual(missing, [])
  })

  it("matches package.json, which pins exact versions", () => {
    for (const kind of ["dependencies", "devDependencies", "optionalDependencies"] as const) {
      assert.deepStrictEqual(packages[""]?.[kind], project[kind])
      for (const [name, version] of Object.entries(project[kind] ?? {})) {
        assert.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, name)
        assert.strictEqual(packages[`node_modules/${name}`]?.version, version, name)
      }
    }
  })
})

import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { parse, parseAllDocuments } from "yaml"
import { variables } from "../../src/config/Variables.ts"

const secrets = Object.entries(variables).flatMap(([name, variable]) => ("isSecret" in variable ? [name] : []))

/** Settings whose names say that they are secrets. */
const soundsSecret = /KEYS?$|SECRETS?$|TOKEN$|PASSWORD$|HEADERS$|^DATABASE.*_URL$|_KEY_ID$/

describe("the secrets among the settings", () => {
  it("are marked", () => {
    assert.isAbove(secrets.length, 10)
    const named = Object.keys(variables).filter((name) => soundsSecret.test(name))
    assert.includeMembers(secrets, named)
  })

  it("have a row each in the documentation of rotation", () => {
    const [, section = ""] = readFileSync("docs/operations.md", "utf8").split("## Rotating secrets\n")
    const rows =
      section
        .split("\n## ")[0]
        ?.split("\n")
        .filter((line) => line.startsWith("| ")) ?? []
    const rotated = rows.flatMap((row) => {
      const [, subject = "", how = ""] = row.split("|")
      const names = [...subject.matchAll(/`([A-Z0-9_]+)`/g)].map(([, name = ""]) => name)
      if (names.length > 0) assert.isAbove(how.length, 30, row)
      return names
    })
    assert.sameMembers(rotated, secrets)
  })

  it("are in no ConfigMap", () => {
    for (const file of readdirSync("deploy/kubernetes")) {
      for (const document of parseAllDocuments(readFileSync(`deploy/kubernetes/${file}`, "utf8"))) {
        const { data = {}, kind } = document.toJS()
        if (kind === "ConfigMap") for (const name of secrets) assert.notProperty(data, name)
      }
    }
  })

  it.each(["render.yaml", "render.paid.yaml"])("are written nowhere in %s", (file) => {
    const blueprint = parse(readFileSync(file, "utf8"))
    const groups: ReadonlyArray<{ readonly envVars: ReadonlyArray<{ readonly key?: string; readonly value?: unknown }> }> = [
      ...blueprint.services,
      ...(blueprint.envVarGroups ?? [])
    ]
    for (const { key = "", value } of groups.flatMap(({ envVars }) => envVars))
      if (secrets.includes(key)) assert.isUndefined(value, key)
  })
})

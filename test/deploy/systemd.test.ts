import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { variables } from "../../src/config/Variables.ts"
import { missingTool } from "../support/tools.ts"

const noSystemd = missingTool("systemd-analyze", "systemd")
const because = (reason: string | undefined) => (reason === undefined ? "" : `: ${reason}`)

/** What systemd-analyze says of the units after a change; their program is one that every machine has. */
const verified = (change: (text: string) => string): string => {
  const folder = mkdtempSync(join(tmpdir(), "units-"))
  try {
    const files = readdirSync("deploy/systemd").map((file) => {
      const text = readFileSync(`deploy/systemd/${file}`, "utf8")
      const path = join(folder, file)
      writeFileSync(path, change(text).replace("/usr/bin/node", process.execPath))
      return path
    })
    // It warns on stderr of what systemd would ignore, and still succeeds.
    return execFileSync("sh", ["-c", 'systemd-analyze verify --man=no "$@" 2>&1', "sh", ...files], { encoding: "utf8" })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe("the systemd units", () => {
  const units = readdirSync("deploy/systemd").map((file) => {
    const text = readFileSync(`deploy/systemd/${file}`, "utf8")
    const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
    const values = new Map(
      lines.filter((line) => line.includes("=")).map((line) => [line.split("=")[0] ?? "", line.replace(/^\w+=/, "")])
    )
    return { file, lines, values }
  })

  it("have sections and assignments alone", () => {
    for (const { file, lines } of units)
      for (const line of lines) assert.match(line, /^(?:\[(?:Unit|Service|Install)\]|[A-Z]\w+=.*)$/, file)
  })

  it("set what the product reads, and start files that the build makes", () => {
    const built = ["dist/main.mjs", "dist/migrate.mjs"]
    const roles = units.flatMap(({ file, values }) => {
      const set = (values.get("Environment") ?? "").split(" ").map((pair) => pair.split("=") as [string, string])
      for (const [name] of set) assert.isTrue(name === "NODE_ENV" || name in variables, `${file}: ${name}`)
      assert.include(built, values.get("ExecStart")?.split(" ").at(-1), file)
      return set.filter(([name]) => name === "ROLE").map(([, role]) => role)
    })
    assert.sameMembers(roles, ["api", "worker"])
    for (const file of built) assert.include(readFileSync("scripts/build.ts", "utf8"), file.replace(/^dist\/|\.mjs$/g, ""))
  })

  it("give a process the time to drain", () => {
    for (const { file, values } of units) {
      if (values.get("Type") === "oneshot") continue
      assert.isAtLeast(Number(values.get("TimeoutStopSec")), 30, file)
    }
  })

  it.skipIf(noSystemd !== undefined)(`pass systemd-analyze${because(noSystemd)}`, () => {
    assert.deepStrictEqual(
      verified((text) => text),
      ""
    )
  })

  it.skipIf(noSystemd !== undefined)(`fail systemd-analyze with a misspelt key or an unusable value${because(noSystemd)}`, () => {
    assert.include(
      verified((text) => text.replace("PrivateTmp", "PrivatTmp")),
      "Unknown key"
    )
    assert.include(
      verified((text) => text.replace("TimeoutStopSec=35", "TimeoutStopSec=long")),
      "Failed to parse"
    )
  })
})

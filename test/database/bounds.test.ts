import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { ownTables } from "../../src/database/Rights.ts"

const text = readFileSync("docs/operations.md", "utf8")
const sources = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => ({ name: `src/${name}`, code: readFileSync(`src/${name}`, "utf8") }))

/** The rows of the table in the section with this heading, by the code in the column. */
const rowsOf = (heading: string, column: number): ReadonlyMap<string, string> => {
  const section = text.split(`### ${heading}\n`)[1]?.split(/\n##/)[0] ?? ""
  const rows = section.split("\n").filter((line) => line.startsWith("|") && line.includes("`"))
  return new Map(rows.map((row) => [row.split(" | ")[column]?.replaceAll(/[|` ]/g, "") ?? "", row]))
}

/** The tables of the schema, with the lines of their columns. */
const tables = [...readFileSync("migrations/schema.sql", "utf8").matchAll(/^create (?:unlogged )?table (\w+) \((.*?)^\)/gms)].map(
  ([, name = "", body = ""]) => ({ name, body })
)

describe("the documented bounds of tables", () => {
  const rows = rowsOf("Tables", 0)

  it("have a row for every table, and no other", () => {
    assert.isNotEmpty(tables)
    assert.sameMembers(
      [...rows.keys()],
      tables.map(({ name }) => name)
    )
  })

  it("are those whose rights a start checks", () => {
    assert.sameMembers(
      [...ownTables],
      tables.map(({ name }) => name)
    )
  })

  for (const { body, name } of tables) {
    it(`name every column of ${name} whose type is unbounded`, () => {
      const unbounded = [...body.matchAll(/^ {2}(\w+) (?:text|jsonb?|bytea)\b|^ {2}(\w+) \w+\[\]/gm)]
        .map(([, plain, array]) => plain ?? array ?? "")
        // A check lists the values.
        .filter((column) => !new RegExp(`CHECK \\(${column} = ANY`).test(body))
      for (const column of unbounded) assert.include(rows.get(name), `\`${column}\``)
    })
  }

  it("name every task that deletes rows", () => {
    const tasks = sources.flatMap(({ code }) => [...code.matchAll(/makeForgetTask\(\s*"(\w+)"/g)].map(([, table = ""]) => table))
    assert.isNotEmpty(tasks)
    for (const table of tasks) assert.include(rows.get(table), `\`forget_${table}\``)
  })

  it("name no task that does not exist", () => {
    for (const [, table = ""] of [...rows.values()].join("\n").matchAll(/`forget_(\w+)`/g)) {
      assert.isTrue(
        sources.some(({ code }) => code.includes(`makeForgetTask("${table}"`)),
        `forget_${table}`
      )
    }
  })
})

describe("the documented bounds of memory", () => {
  const rows = rowsOf("Memory of a process", 1)
  /** A cache, a map that outlives a call (a member, or a constant of a service's layer), or a bounded queue. */
  const cache = /new LRUCache\b|= yield\* makeNotifiedCache\b/

  it("have a row for every file with a cache", () => {
    const files = sources.filter(({ code }) => cache.test(code)).map(({ name }) => name)
    assert.isNotEmpty(files)
    for (const file of files) assert.isTrue(rows.has(file), file)
  })

  it("have a row for every file with a map that grows, and no other", () => {
    // Filled once at the start, or made and dropped in one call.
    const small = [
      "src/billing/Sync.ts",
      "src/server/Routes.ts",
      "src/ops/Metrics.ts",
      "src/queue/QueueState.ts",
      "src/http/ImmediateAnswers.ts",
      "src/server/ImmediateResponder.ts",
      "src/gemini/Citations.ts",
      "src/gemini/GoogleRequest.ts",
      "src/gemini/PromptFile.ts",
      "src/files/Pdf.ts",
      "src/chat/MarkdownCitations.ts",
      "src/chat/ImportPlan.ts",
      "src/chat/ImportRows.ts"
    ]
    // As many as topics' kinds, connections and runners.
    const fixed = ["src/database/Silence.ts", "src/queue/Runner.ts"]
    const files = sources
      .filter(
        ({ code }) =>
          cache.test(code) || /^ *(?:private |readonly |static |const |let )+\w+ = new (?:Map|Set)(?:<.*>)?\(\)/m.test(code)
      )
      .map(({ name }) => name)
      .filter((name) => ![...small, ...fixed].includes(name))
    assert.sameMembers([...rows.keys()], files)
  })
})

import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Schema } from "effect"
import { redocly } from "./redocly.ts"

/** A change that may break a client written for the older document. */
export interface Break {
  /** The rule and the place of the change; the same change always has the same key. */
  readonly key: string
  readonly message: string
}

const Change = Schema.Struct({
  path: Schema.String,
  kind: Schema.Literals(["added", "removed", "modified"]),
  verdicts: Schema.Array(Schema.Struct({ ruleId: Schema.String, impact: Schema.String, message: Schema.String }))
})
type Change = typeof Change.Type
const Report = Schema.Struct({ changes: Schema.Array(Change) })

/** Members for people, and the server's address: they are not part of the contract. */
const annotations = new Set(["description", "summary", "example", "examples", "tags", "servers", "contact"])
/** The members of these are our own names, which may be the same words. */
const maps = new Set(["properties", "schemas"])

const contractIn = (value: unknown, isMap = false): unknown => {
  if (Array.isArray(value)) return value.map((item) => contractIn(item))
  if (typeof value !== "object" || value === null) return value
  const kept = Object.entries(value).filter(([key]) => isMap || !annotations.has(key))
  const bare = Object.fromEntries(kept.map(([key, member]) => [key, contractIn(member, maps.has(key))]))
  // Header names are case-insensitive.
  return bare["in"] === "header" ? { ...bare, name: String(bare["name"]).toLowerCase() } : bare
}

/** The document without texts for people. */
export const contractOf = (document: unknown) => contractIn(document)

/** Wraps each single problem in `anyOf`, so that a second one shows as an addition instead of a replacement. */
const withProblemLists = (contract: unknown): unknown =>
  JSON.parse(JSON.stringify(contract), (key, value) =>
    key === "application/problem+json" && value.schema?.$ref !== undefined
      ? { ...value, schema: { anyOf: [value.schema] } }
      : value
  )

const isRefusal = (path: string) => /\/responses\/([45]\d\d|default)\//.test(path)

/** A status may gain codes: the document says so, and clients branch on the codes they know. */
const isNewCode = (ruleId: string, { kind, path }: Change) =>
  isRefusal(path) &&
  ((ruleId === "schema-combinator-changed" && kind === "added") ||
    (ruleId === "enum-values-added" && /\/properties\/(code|type|title)$/.test(path)))

/** The server ignores unknown fields, so clients would go on sending a removed one without an error. */
const isRemovedInput = ({ kind, path }: Change) => kind === "removed" && /\/requestBody\/.*\/properties\/[^/]+$/.test(path)

const breaksOf = (change: Change): ReadonlyArray<Break> => {
  const { path, verdicts } = change
  const found = verdicts
    .filter(({ impact, ruleId }) => impact === "major" && !isNewCode(ruleId, change))
    .map(({ message, ruleId }) => ({ key: `${ruleId} ${path}`, message }))
  return isRemovedInput(change)
    ? [...found, { key: `request-property-removed ${path}`, message: "A property of a request was removed." }]
    : found
}

/** The codes of all problems in a document. */
const codesIn = (document: unknown): ReadonlySet<string> => {
  const codes = new Set<string>()
  JSON.parse(JSON.stringify(document), (_, value) => {
    if (value?.requestId !== undefined && Array.isArray(value.code?.enum)) for (const code of value.code.enum) codes.add(code)
    return value
  })
  return codes
}

/** The changes in `current` that break clients written for `released`. */
export const breaksBetween = (released: unknown, current: unknown): ReadonlyArray<Break> => {
  const folder = mkdtempSync(join(tmpdir(), "contract-"))
  try {
    const files = { released: join(folder, "released.json"), current: join(folder, "current.json") }
    writeFileSync(files.released, JSON.stringify(withProblemLists(contractOf(released))))
    writeFileSync(files.current, JSON.stringify(withProblemLists(contractOf(current))))
    const { changes } = Schema.decodeUnknownSync(Report)(redocly("diff", files.released, files.current))
    const lost = [...codesIn(released)].filter((code) => !codesIn(current).has(code))
    return [
      ...changes.flatMap(breaksOf),
      ...lost.map((code) => ({ key: `code-removed ${code}`, message: `The code \`${code}\` was removed from all problems.` }))
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

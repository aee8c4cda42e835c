import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { redocly } from "./redocly.ts"

/** A change after which a client that was made for the older document may stop working. */
export interface Break {
  /** What was changed and where: stable as long as the change is the same. */
  readonly key: string
  readonly message: string
}

interface Change {
  readonly path: string
  readonly kind: "added" | "removed" | "modified"
  readonly verdicts: ReadonlyArray<{ readonly ruleId: string; readonly impact: string; readonly message: string }>
}

/** What is said to people, and where the server is. */
const words = new Set(["description", "summary", "example", "examples", "tags", "servers", "contact"])
/** Below these stand names of ours, which may be such words as well. */
const maps = new Set(["properties", "schemas"])

const contractIn = (value: unknown, isMap = false): unknown => {
  if (Array.isArray(value)) return value.map((item) => contractIn(item))
  if (typeof value !== "object" || value === null) return value
  const kept = Object.entries(value).filter(([key]) => isMap || !words.has(key))
  const bare = Object.fromEntries(kept.map(([key, member]) => [key, contractIn(member, maps.has(key))]))
  // The name of a header is the same in any case.
  return bare["in"] === "header" ? { ...bare, name: String(bare["name"]).toLowerCase() } : bare
}

/** The document without what is said to people. */
export const contractOf = (document: unknown) => contractIn(document)

/** Every problem as one of several, so that a second one is seen as no more than that. */
const withProblemLists = (contract: unknown): unknown =>
  JSON.parse(JSON.stringify(contract), (key, value) =>
    key === "application/problem+json" && value.schema?.$ref !== undefined
      ? { ...value, schema: { anyOf: [value.schema] } }
      : value
  )

const isRefusal = (path: string) => /\/responses\/([45]\d\d|default)\//.test(path)

/** A status may gain codes: the document says so, and a client branches on those it knows. */
const isNewCode = (ruleId: string, { kind, path }: Change) =>
  isRefusal(path) &&
  ((ruleId === "schema-combinator-changed" && kind === "added") ||
    (ruleId === "enum-values-added" && /\/properties\/(code|type|title)$/.test(path)))

/** Unknown fields are ignored, so one that is taken away is sent in vain, and nobody is told. */
const isIgnoredFromNowOn = ({ kind, path }: Change) => kind === "removed" && /\/requestBody\/.*\/properties\/[^/]+$/.test(path)

const breaksOf = (change: Change): ReadonlyArray<Break> => {
  const { path, verdicts } = change
  const found = verdicts
    .filter(({ impact, ruleId }) => impact === "major" && !isNewCode(ruleId, change))
    .map(({ message, ruleId }) => ({ key: `${ruleId} ${path}`, message }))
  return isIgnoredFromNowOn(change)
    ? [...found, { key: `request-property-removed ${path}`, message: "A property of a request was removed." }]
    : found
}

/** The codes of all problems. */
const codesIn = (document: unknown): ReadonlySet<string> => {
  const codes = new Set<string>()
  JSON.parse(JSON.stringify(document), (_, value) => {
    if (value?.requestId !== undefined && Array.isArray(value.code?.enum)) for (const code of value.code.enum) codes.add(code)
    return value
  })
  return codes
}

/** What of `current` breaks clients that were made for `released`. */
export const breaksBetween = (released: unknown, current: unknown): ReadonlyArray<Break> => {
  const folder = mkdtempSync(join(tmpdir(), "contract-"))
  try {
    const files = { released: join(folder, "released.json"), current: join(folder, "current.json") }
    writeFileSync(files.released, JSON.stringify(withProblemLists(contractOf(released))))
    writeFileSync(files.current, JSON.stringify(withProblemLists(contractOf(current))))
    const report = redocly("diff", files.released, files.current) as { readonly changes: ReadonlyArray<Change> }
    const lost = [...codesIn(released)].filter((code) => !codesIn(current).has(code))
    return [
      ...report.changes.flatMap(breaksOf),
      ...lost.map((code) => ({ key: `code-removed ${code}`, message: `No problem has the code \`${code}\` any more.` }))
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

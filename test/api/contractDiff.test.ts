import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { type Break, breaksBetween, contractOf } from "../../scripts/contractDiff.ts"
import { openApiDocument } from "../../scripts/openapi/OpenApiDocument.ts"

// oxlint-disable-next-line typescript/no-explicit-any -- the documents are JSON that these tests spoil
type Document = any

const operation = (more: object = {}) => ({
  operationId: "makeThing",
  security: [],
  requestBody: {
    required: false,
    content: { "application/json": { schema: { $ref: "#/components/schemas/NewThing" } } }
  },
  parameters: [
    { name: "limit", in: "query", required: false, schema: { type: "integer", minimum: 1, maximum: 100 } },
    { name: "order", in: "query", required: false, schema: { type: "string", enum: ["old", "new"] } },
    { name: "X-Thing", in: "header", required: false, schema: { type: "string" } }
  ],
  responses: {
    "200": {
      description: "Made.",
      headers: { Location: { required: true, schema: { type: "string" } } },
      content: { "application/json": { schema: { $ref: "#/components/schemas/Thing" } } }
    },
    "409": { description: "Busy.", content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Busy" } } } }
  },
  ...more
})

const problem = (code: string) => ({
  type: "object",
  required: ["code", "requestId"],
  properties: { code: { type: "string", enum: [code] }, requestId: { type: "string" }, title: { type: "string", enum: [code] } }
})

const base = {
  openapi: "3.1.0",
  info: { title: "Things", version: "1.0.0" },
  servers: [{ url: "/" }],
  paths: {
    "/things": { post: operation(), get: operation({ operationId: "listThings", requestBody: undefined }) },
    "/health": { get: { operationId: "getHealth", security: [], responses: { "200": { description: "Fine." } } } }
  },
  components: {
    securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
    schemas: {
      NewThing: {
        type: "object",
        required: ["name"],
        properties: {
          name: { type: "string", minLength: 1, maxLength: 100 },
          size: { type: "integer", minimum: 0 },
          kind: { type: "string", enum: ["big", "small"] },
          note: { anyOf: [{ type: "string" }, { type: "null" }] },
          description: { type: "string" }
        }
      },
      Thing: {
        type: "object",
        required: ["id", "kind", "size"],
        properties: {
          id: { type: "string" },
          kind: { type: "string", enum: ["big", "small"] },
          size: { type: "integer" },
          note: { type: "string" }
        }
      },
      Busy: problem("busy"),
      Full: problem("full")
    }
  }
}

const changed = (spoil: (document: Document) => void): ReadonlyArray<Break> => {
  const document: Document = JSON.parse(JSON.stringify(base))
  spoil(document)
  return breaksBetween(base, document)
}
const post = (document: Document) => document.paths["/things"].post
const schemas = (document: Document) => document.components.schemas
const parameter = (document: Document, name: string) => post(document).parameters.find((found: Document) => found.name === name)

/** Each rule with a change that breaks clients, and a similar one that does not. */
const rules: ReadonlyArray<
  readonly [rule: string, breaking: (document: Document) => void, harmless: (document: Document) => void]
> = [
  ["path-removed", (d) => delete d.paths["/health"], (d) => (d.paths["/more"] = d.paths["/health"])],
  [
    "operation-removed",
    (d) => delete d.paths["/things"].get,
    (d) => (d.paths["/health"].delete = { ...operation({ operationId: "x" }) })
  ],
  ["operation-id-changed", (d) => (post(d).operationId = "create"), (d) => (post(d).summary = "Make a thing")],
  ["response-removed", (d) => delete post(d).responses["409"], (d) => (post(d).responses["404"] = { description: "Gone." })],
  [
    "media-type-removed",
    (d) => (post(d).responses["200"].content = { "text/plain": { schema: { type: "string" } } }),
    (d) => (post(d).responses["200"].content["text/plain"] = { schema: { type: "string" } })
  ],
  [
    "response-header-removed",
    (d) => delete post(d).responses["200"].headers.Location,
    (d) => (post(d).responses["200"].headers.ETag = { schema: { type: "string" } })
  ],
  [
    "property-removed",
    (d) => delete schemas(d).Thing.properties.note,
    (d) => (schemas(d).Thing.properties.more = { type: "string" })
  ],
  ["required-properties-removed", (d) => schemas(d).Thing.required.pop(), (d) => schemas(d).Thing.required.push("note")],
  [
    "enum-values-added",
    (d) => schemas(d).Thing.properties.kind.enum.push("huge"),
    (d) => schemas(d).Thing.properties.kind.enum.pop()
  ],
  [
    "schema-type-changed",
    (d) => (schemas(d).Thing.properties.size.type = ["integer", "null"]),
    (d) => (schemas(d).NewThing.properties.size.type = ["integer", "null"])
  ],
  [
    "schema-type-changed",
    (d) => (schemas(d).NewThing.properties.size.type = "string"),
    (d) => (schemas(d).NewThing.properties.size.type = "number")
  ],
  [
    "schema-combinator-changed",
    (d) => schemas(d).NewThing.properties.note.anyOf.pop(),
    (d) => schemas(d).NewThing.properties.note.anyOf.push({ type: "integer" })
  ],
  ["required-properties-added", (d) => schemas(d).NewThing.required.push("size"), (d) => schemas(d).NewThing.required.pop()],
  [
    "required-properties-added",
    (d) => {
      schemas(d).NewThing.required.push("more")
      schemas(d).NewThing.properties.more = { type: "string" }
    },
    (d) => (schemas(d).NewThing.properties.more = { type: "string" })
  ],
  [
    "request-property-removed",
    (d) => delete schemas(d).NewThing.properties.description,
    (d) => (schemas(d).NewThing.description = "What is to be made.")
  ],
  [
    "enum-values-removed",
    (d) => schemas(d).NewThing.properties.kind.enum.pop(),
    (d) => schemas(d).NewThing.properties.kind.enum.push("huge")
  ],
  [
    "schema-constraint-changed",
    (d) => (schemas(d).NewThing.properties.name.maxLength = 99),
    (d) => (schemas(d).NewThing.properties.name.maxLength = 101)
  ],
  [
    "schema-constraint-changed",
    (d) => (schemas(d).NewThing.properties.size.minimum = 1),
    (d) => delete schemas(d).NewThing.properties.size.minimum
  ],
  [
    "schema-constraint-changed",
    (d) => (schemas(d).NewThing.properties.name.pattern = "^a"),
    (d) => delete schemas(d).NewThing.properties.name.minLength
  ],
  [
    "schema-constraint-changed",
    (d) => (parameter(d, "limit").schema.maximum = 50),
    (d) => (parameter(d, "limit").schema.maximum = 200)
  ],
  ["enum-values-removed", (d) => parameter(d, "order").schema.enum.pop(), (d) => parameter(d, "order").schema.enum.push("any")],
  [
    "parameter-removed",
    (d) => post(d).parameters.shift(),
    (d) => post(d).parameters.push({ name: "q", in: "query", required: false, schema: { type: "string" } })
  ],
  [
    "parameter-became-required",
    (d) => (parameter(d, "order").required = true),
    (d) => (parameter(d, "X-Thing").name = "x-thing")
  ],
  [
    "request-body-became-required",
    (d) => (post(d).requestBody.required = true),
    (d) => (post(d).requestBody.description = "The thing.")
  ],
  [
    "security-requirement-changed",
    (d) => (d.paths["/health"].get.security = [{ bearer: [] }]),
    (d) => (d.servers[0].description = "Here.")
  ],
  [
    "code-removed",
    (d) => (schemas(d).Busy = problem("occupied")),
    (d) =>
      (post(d).responses["409"].content["application/problem+json"].schema = {
        anyOf: [{ $ref: "#/components/schemas/Busy" }, { $ref: "#/components/schemas/Full" }]
      })
  ],
  ["code-removed", (d) => delete schemas(d).Full, (d) => schemas(d).Busy.properties.code.enum.push("busier")]
]

describe("the comparison with the last release", () => {
  it("finds no break in the same document", () => {
    assert.deepStrictEqual(breaksBetween(base, base), [])
  })

  it.each(rules)("finds %s, and not the similar harmless change", (rule, breaking, harmless) => {
    const found = changed(breaking).map(({ key }) => key.split(" ")[0])
    assert.include(found, rule)
    assert.deepStrictEqual(changed(harmless), [])
  })

  it("gives a break the same key in every run", () => {
    const drop = (d: Document) => delete d.paths["/health"]
    assert.deepStrictEqual(changed(drop), changed(drop))
    assert.deepStrictEqual(
      changed(drop).map(({ key }) => key),
      ["path-removed #/paths/~1health"]
    )
  })

  it("ignores texts for people", () => {
    const document: Document = openApiDocument()
    const retold = JSON.parse(JSON.stringify(document).replaceAll("Chatroom id", "The id of the room"))
    assert.notDeepEqual(retold, document)
    assert.deepStrictEqual(contractOf(retold), contractOf(document))
    assert.deepStrictEqual(breaksBetween(contractOf(document), retold), [])
  })
})

describe("check-contract.ts", () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "breaking-"))
    write("openapi.json", base)
    run("--release")
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const write = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value))
  const read = (name: string) => JSON.parse(readFileSync(join(folder, name), "utf8"))
  const run = (...args: ReadonlyArray<string>) =>
    spawnSync(process.execPath, [resolve("scripts/check-contract.ts"), ...args], {
      cwd: folder,
      encoding: "utf8",
      timeout: 60_000
    })
  const without = (...paths: ReadonlyArray<string>) => ({
    ...base,
    paths: Object.fromEntries(Object.entries(base.paths).filter(([path]) => !paths.includes(path)))
  })

  it("passes a document without a break", () => {
    assert.deepInclude(run(), { status: 0, stderr: "" })
  })

  it("fails on a break and prints its key, with which it can be listed as intended", () => {
    write("openapi.json", without("/health"))
    const { status, stderr } = run()
    assert.strictEqual(status, 1)
    assert.match(stderr, /`\/health` was removed/)
    const key = JSON.parse(/^ {2}(".*")$/m.exec(stderr)?.[1] ?? "null")
    write("openapi.breaks.json", { [key]: "No client uses it." })
    assert.deepInclude(run(), { status: 0, stderr: "" })
  })

  it("fails on a listed break that did not happen", () => {
    write("openapi.breaks.json", { "path-removed #/paths/~1health": "No client uses it." })
    const { status, stderr } = run()
    assert.strictEqual(status, 1)
    assert.match(stderr, /lists a change that is not a break/)
  })

  it("releases the current contract, but only under a new version", () => {
    write("openapi.json", without("/health"))
    write("openapi.breaks.json", { "path-removed #/paths/~1health": "No client uses it." })
    assert.strictEqual(run("--release").status, 1)
    assert.property(read("openapi.released.json").paths, "/health")
    write("openapi.json", { ...without("/health"), info: { title: "Things", version: "2.0.0" } })
    assert.strictEqual(run("--release").status, 0)
    assert.notProperty(read("openapi.released.json").paths, "/health")
    assert.deepStrictEqual(read("openapi.breaks.json"), {})
    assert.deepInclude(run(), { status: 0, stderr: "" })
  })
})

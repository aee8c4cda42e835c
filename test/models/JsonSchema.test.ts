import fc from "fast-check"
import { assert, describe, it } from "vitest"
import { answerInJson, readFormat } from "../../simulators/gemini/JsonAnswer.ts"
import { faultOfOutputSchema, isOutput } from "../../src/models/JsonOutput.ts"
import { faultOfSchema } from "../../src/models/JsonSchema.ts"

const nested = (depth: number): object => (depth === 1 ? { type: "object" } : { type: "array", items: nested(depth - 1) })
const parsed = (text: string): object => JSON.parse(text)

describe("a schema of an answer", () => {
  it("is accepted up to its limits", () => {
    assert.isUndefined(faultOfSchema(nested(10)))
    assert.isUndefined(faultOfSchema({ type: "array", maxItems: 900 }))
    const padding = 16_384 - JSON.stringify({ type: "object", title: "" }).length
    assert.isUndefined(faultOfSchema({ type: "object", title: "x".repeat(padding) }))
    assert.deepStrictEqual(faultOfSchema({ type: "object", title: "x".repeat(padding + 1) })?.path, "")
  })

  it("is refused with the path of its first fault", () => {
    const cases: ReadonlyArray<readonly [object, string]> = [
      [{}, "/type"],
      [{ type: "string" }, "/type"],
      [{ type: ["object", "null"] }, "/type"],
      [{ type: "object", properties: { "a/b": { type: "text" } } }, "/properties/a~1b/type"],
      [{ type: "object", pattern: "(a+)+" }, "/pattern"],
      [{ type: "object", constructor: 1 }, "/constructor"],
      [parsed('{ "type": "object", "__proto__": {} }'), "/__proto__"],
      [{ type: "array", items: { anyOf: [{ type: "string", pattern: "x" }] } }, "/items/anyOf/0/pattern"],
      [parsed('{ "type": "object", "properties": { "__proto__": {} } }'), "/properties/__proto__"],
      [{ type: "array", items: [] }, "/items"],
      [{ type: "array", maxItems: 450, items: { type: "array", maxItems: 451 } }, "/items/maxItems"],
      [{ type: "array", maxItems: -1 }, "/maxItems"],
      [{ type: "object", properties: { a: { enum: [] } } }, "/properties/a/enum"],
      [{ type: "object", properties: { a: { enum: [{}] } } }, "/properties/a/enum"],
      [{ type: "object", required: "a" }, "/required"],
      [{ type: "object", $ref: "https://example.com/schema" }, "/$ref"],
      [nested(11), "/items".repeat(10)],
      [parsed(`${'{"type":"array","items":'.repeat(20_000)}{}${"}".repeat(20_000)}`), "/items".repeat(10)]
    ]
    for (const [schema, path] of cases) assert.strictEqual(faultOfSchema(schema)?.path, path)
  })

  it("is refused when a reference leads nowhere", () => {
    assert.isDefined(faultOfOutputSchema({ type: "object", properties: { a: { $ref: "#/$defs/b" } } }))
    assert.isUndefined(
      faultOfOutputSchema({ type: "object", properties: { a: { $ref: "#/$defs/b" } }, $defs: { b: { type: "string" } } })
    )
  })
})

describe("an answer in JSON", () => {
  const schema = { type: "object", properties: { a: { type: "integer", minimum: 1 } }, required: ["a"] }

  it("fits its schema, or does not", () => {
    for (const text of ['{"a":1}', ' {"a":2,"b":"\\u0000\\ud800"} ']) assert.isTrue(isOutput(text, schema), text)
    for (const text of ["", '{"a":1', '{"a":0}', '{"a":1.5}', "{}", "[]", '{"a":1}{"a":1}', '```json\n{"a":1}\n```']) {
      assert.isFalse(isOutput(text, schema), text)
    }
    assert.isTrue(isOutput("1", undefined))
    assert.isFalse(isOutput("{}", { type: "object", required: ["constructor"] }))
  })

  it("does not fit when it is nested deeper than 100", () => {
    assert.isTrue(isOutput(`${"[".repeat(100)}"]]["${"]".repeat(100)}`, undefined))
    for (const depth of [101, 500_000]) assert.isFalse(isOutput("[".repeat(depth) + "]".repeat(depth), undefined))
  })

  it("does not fit when the check takes exponential time", () => {
    const bad = {
      type: "array",
      items: {
        anyOf: [
          { $ref: "#", maxItems: 1 },
          { $ref: "#", maxItems: 2 }
        ]
      }
    }
    assert.isUndefined(faultOfOutputSchema(bad))
    const started = performance.now()
    assert.isFalse(isOutput(`${"[".repeat(90)}1${"]".repeat(90)}`, bad))
    assert.isBelow(performance.now() - started, 5_000)
  })
})

const names = fc.constantFrom("a", "b", "c/d", "~", "__proto__", "constructor")
const { schema: anySchema } = fc.letrec<{ schema: object; leaf: object }>((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom({ type: "string" }, { type: "boolean" }, { type: "null" }),
    fc.record({ type: fc.constant("integer"), minimum: fc.integer({ min: -9, max: 9 }) }),
    fc.record({ enum: fc.array(fc.oneof(fc.string(), fc.integer(), fc.constant(null)), { minLength: 1, maxLength: 4 }) })
  ),
  schema: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    tie("leaf"),
    fc.record({
      type: fc.constant("array"),
      items: tie("schema"),
      minItems: fc.nat(3),
      maxItems: fc.integer({ min: 3, max: 40 })
    }),
    fc
      .dictionary(names, tie("schema"), { maxKeys: 4 })
      .map((properties) => ({ type: "object", properties, required: Object.keys(properties), additionalProperties: false })),
    fc.record({ anyOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }) })
  )
}))
const rootSchema = anySchema.map((items) => ({ type: "array", items, minItems: 1, maxItems: 9 }))

describe("any accepted schema", () => {
  it("is one that the simulator of Google takes, and its answer fits", () => {
    let accepted = 0
    fc.assert(
      fc.property(rootSchema, (schema) => {
        if (faultOfOutputSchema(schema) !== undefined) return
        accepted++
        const format = readFormat({ responseMimeType: "application/json", responseJsonSchema: schema })
        assert.isDefined(format)
        if (format === undefined) return
        const text = answerInJson(format, "")
        assert.isTrue(isOutput(text, schema), text)
      }),
      { numRuns: 300 }
    )
    assert.isAbove(accepted, 100)
  })

  it("fits any text or does not, without a failure", () => {
    fc.assert(
      fc.property(rootSchema, fc.oneof(fc.json(), fc.string()), (schema, text) => {
        if (faultOfOutputSchema(schema) === undefined) assert.isBoolean(isOutput(text, schema))
      }),
      { numRuns: 300 }
    )
  })

  it("is checked without a failure, whatever JSON it is", () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom("type", "items", "$ref", "$id", "$anchor", "anyOf", "enum", "$defs", "required"),
          fc.jsonValue()
        ),
        (schema) => {
          faultOfOutputSchema({ ...schema, type: "object" })
        }
      ),
      { numRuns: 500 }
    )
  })
})

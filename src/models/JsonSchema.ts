import { Predicate } from "effect"

/** What is wrong with a schema, and where: a JSON pointer into it. */
export interface SchemaFault {
  readonly path: string
  readonly message: string
}

/** Nested schemas, and bytes of the whole schema in JSON. */
const maximumDepth = 10
const maximumBytes = 16_384
/** Google refuses a sum of about 960 with a message that does not name it. */
const maximumItems = 900

const types = new Set(["string", "number", "integer", "boolean", "object", "array", "null"])

type Check = (value: unknown) => string | undefined

const isScalar = (value: unknown) => value === null || ["string", "number", "boolean"].includes(typeof value)
const isListOf = (value: unknown, isFitting: (member: unknown) => boolean): value is ReadonlyArray<unknown> =>
  Array.isArray(value) && value.every(isFitting)
const string: Check = (value) => (typeof value === "string" ? undefined : "must be a string")
const number: Check = (value) => (typeof value === "number" ? undefined : "must be a number")
const strings: Check = (value) => (isListOf(value, Predicate.isString) ? undefined : "must be a list of strings")
const count: Check = (value) =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 1_000_000
    ? undefined
    : "must be an integer from 0 to 1,000,000"
const type: Check = (value) => {
  const names = Array.isArray(value) ? value : [value]
  return names.length > 0 && new Set(names).size === names.length && names.every((name) => types.has(name))
    ? undefined
    : "must be a JSON type or a list of different JSON types"
}

/** The keywords that hold no schemas. Those of both lists are the ones that Google documents. */
const plain: Readonly<Record<string, Check>> = {
  $id: string,
  $anchor: string,
  $ref: (value) =>
    typeof value === "string" && value.startsWith("#") ? undefined : "must be a reference into this schema, such as #/$defs/name",
  type,
  format: string,
  title: string,
  description: string,
  enum: (value) =>
    isListOf(value, isScalar) && value.length > 0 ? undefined : "must be a list of strings, numbers, booleans or null",
  minItems: count,
  maxItems: count,
  minimum: number,
  maximum: number,
  required: strings,
  propertyOrdering: strings
}
const oneSchema = new Set(["items", "additionalProperties"])
const schemaList = new Set(["prefixItems", "anyOf", "oneOf"])
const schemasByName = new Set(["properties", "$defs"])

const pointer = (path: string, name: string | number) => `${path}/${String(name).replaceAll("~", "~0").replaceAll("/", "~1")}`

class Walk {
  items = 0
  readonly faults: Array<SchemaFault> = []

  /** Returns at the first fault, so that the work is bounded by the depth. */
  schema(schema: unknown, path: string, depth: number): boolean {
    if (!Predicate.isObject(schema)) return this.fault(path, "must be a schema")
    if (depth > maximumDepth) return this.fault(path, `is nested deeper than ${maximumDepth} schemas`)
    return Object.entries(schema).every(([keyword, value]) => this.keyword(keyword, value, pointer(path, keyword), depth))
  }

  private keyword(keyword: string, value: unknown, path: string, depth: number): boolean {
    const check = Object.hasOwn(plain, keyword) ? plain[keyword] : undefined
    if (check !== undefined) {
      const message = check(value)
      if (message !== undefined) return this.fault(path, message)
      if (keyword === "maxItems") this.items += Number(value)
      return this.items <= maximumItems || this.fault(path, `makes the sum of all maxItems exceed ${maximumItems}`)
    }
    if (oneSchema.has(keyword)) {
      return (keyword === "additionalProperties" && typeof value === "boolean") || this.schema(value, path, depth + 1)
    }
    if (schemaList.has(keyword)) {
      if (!Array.isArray(value) || value.length === 0) return this.fault(path, "must be a list of schemas")
      return value.every((member: unknown, index) => this.schema(member, pointer(path, index), depth + 1))
    }
    if (!schemasByName.has(keyword)) return this.fault(path, "is not a keyword that the model knows")
    if (!Predicate.isObject(value)) return this.fault(path, "must be an object of schemas")
    // The validator passes over a property of this name.
    if (Object.hasOwn(value, "__proto__")) return this.fault(pointer(path, "__proto__"), "is not a name that can be checked")
    return Object.entries(value).every(([name, member]) => this.schema(member, pointer(path, name), depth + 1))
  }

  private fault(path: string, message: string): false {
    this.faults.push({ path, message })
    return false
  }
}

/** The first thing that is wrong with a JSON Schema for a model's answer; undefined when the model may get it. */
export const faultOfSchema = (schema: object): SchemaFault | undefined => {
  const walk = new Walk()
  if (!walk.schema(schema, "", 1)) return walk.faults[0]
  const root = Predicate.hasProperty(schema, "type") ? schema.type : undefined
  if (root !== "object" && root !== "array") return { path: "/type", message: "must be object or array at the root" }
  return Buffer.byteLength(JSON.stringify(schema)) > maximumBytes
    ? { path: "", message: `has more than ${maximumBytes} bytes` }
    : undefined
}

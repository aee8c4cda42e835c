import { readFileSync, writeFileSync } from "node:fs"
import { format } from "oxfmt"
import { isNode, type Node, nodes } from "./openapi/Node.ts"
import { type Operation, readOpenApi } from "./postman/OpenApi.ts"

/**
 * Writes the types of the client package, client/src/contract.ts, from openapi.json; with `--check`, fails when the
 * committed file differs. test/client/contract.test.ts compares them with the types of src/api.
 */
const file = new URL("../client/src/contract.ts", import.meta.url)

/** Routes of operators and of Stripe, and those that have clients of their own. */
const otherClients = /^\/(?:admin|ai|metrics|v1|webhook)(?:\/|$)/

const { operations: all, schemas } = readOpenApi()
const operations = [...all.values()].filter(({ path }) => !otherClients.test(path))

const nameOf = (reference: unknown): string | undefined =>
  typeof reference === "string" ? reference.slice("#/components/schemas/".length) : undefined

const schemaOf = (name: string): Node => {
  const schema = schemas[name]
  if (!isNode(schema)) throw new Error(`openapi.json has no schema ${name}`)
  return schema
}

const typeOf = (schema: Node): string => {
  const { additionalProperties, anyOf, enum: values, items, type } = schema
  const named = nameOf(schema["$ref"])
  if (named !== undefined) return named
  if (Array.isArray(values)) return values.map((value) => JSON.stringify(value)).join(" | ")
  if (Array.isArray(anyOf)) return nodes(anyOf).map(typeOf).join(" | ")
  if (type === "array") return `ReadonlyArray<${isNode(items) ? typeOf(items) : "unknown"}>`
  if (isNode(schema["properties"])) return `{ ${membersOf(schema).map(memberText).join("; ")} }`
  if (type === "object")
    return `Readonly<Record<string, ${isNode(additionalProperties) ? typeOf(additionalProperties) : "unknown"}>>`
  if (type === "integer") return "number"
  return typeof type === "string" ? type : "unknown"
}

interface Member {
  readonly name: string
  readonly type: string
  readonly isOptional: boolean
  readonly description: string | undefined
}

const membersOf = (schema: Node): ReadonlyArray<Member> => {
  const { properties, required } = schema
  return Object.entries(isNode(properties) ? properties : {}).map(([name, member]) => ({
    name,
    type: isNode(member) ? typeOf(member) : "unknown",
    isOptional: !(Array.isArray(required) && required.includes(name)),
    description: isNode(member) ? textOf(member["description"]) : undefined
  }))
}

const textOf = (text: unknown): string | undefined => (typeof text === "string" && text !== "" ? text : undefined)

/** In one line, so that the generated file stays readable. */
const comment = (...texts: ReadonlyArray<string | undefined>): string => {
  const text = texts.filter((each) => each !== undefined).join(" ")
  return text === "" ? "" : `/** ${text.replaceAll("*/", "*\\/")} */\n`
}

const sentence = (text: string | undefined) => (text === undefined || text.endsWith(".") ? text : `${text}.`)

const memberText = ({ isOptional, name, type }: Member): string => `readonly ${name}${isOptional ? "?" : ""}: ${type}`

const sameMember = (a: Member, b: Member): boolean => memberText(a) === memberText(b)

/** The largest other component whose members are all among these. */
const baseOf = (name: string, members: ReadonlyArray<Member>, names: ReadonlyArray<string>) =>
  names
    .filter((other) => other !== name)
    .map((other) => ({ other, inherited: membersOf(schemaOf(other)) }))
    .filter(({ inherited }) => inherited.length >= 4 && inherited.length < members.length)
    .filter(({ inherited }) => inherited.every((each) => members.some((own) => sameMember(each, own))))
    .sort((a, b) => b.inherited.length - a.inherited.length)[0]

const component = (name: string, names: ReadonlyArray<string>): string => {
  const schema = schemaOf(name)
  const head = comment(textOf(schema["description"]))
  if (!isNode(schema["properties"])) return `${head}export type ${name} = ${typeOf(schema)}\n`
  const members = membersOf(schema)
  const base = baseOf(name, members, names)
  const own = members.filter((each) => base?.inherited.some((other) => sameMember(each, other)) !== true)
  const lines = own.map((member) => comment(member.description) + memberText(member)).join("\n")
  return `${head}export interface ${name}${base === undefined ? "" : ` extends ${base.other}`} {\n${lines}\n}\n`
}

/** The components that a schema is made of, itself included. */
const reached = (schema: unknown, found = new Set<string>()): ReadonlySet<string> => {
  if (Array.isArray(schema)) for (const each of schema) reached(each, found)
  if (!isNode(schema)) return found
  const name = nameOf(schema["$ref"])
  if (name !== undefined && !found.has(name)) reached(schemaOf(name), found.add(name))
  for (const [key, member] of Object.entries(schema)) if (!/^examples?$/.test(key)) reached(member, found)
  return found
}

const jsonOf = (content: unknown): Node | undefined => {
  const json = isNode(content) ? content["application/json"] : undefined
  return isNode(json) && isNode(json["schema"]) ? json["schema"] : undefined
}

const bodyOf = (operation: Operation): Node | undefined => jsonOf(operation.requestBody?.content)

/** What an operation answers with: JSON, text or bytes, or nothing. */
const responseOf = ({ responses }: Operation): string => {
  const contents = Object.entries(responses)
    .filter(([status]) => status.startsWith("2"))
    .map(([, { content }]) => content)
  const types = contents.map((content) => {
    const json = jsonOf(content)
    return json === undefined ? (content === undefined ? "undefined" : "Response") : typeOf(json)
  })
  return [...new Set(types)].filter((type) => type !== "undefined" || types.length === 1).join(" | ") || "undefined"
}

const fieldsOf = (operation: Operation, place: "path" | "query"): string =>
  operation.parameters
    .filter((parameter) => parameter.in === place)
    .map(({ description, name, schema, ...parameter }) => {
      const isRequired = place === "path" || ("required" in parameter && parameter.required === true)
      const type = isNode(schema) ? typeOf(schema) : "string"
      return `${comment(description)}readonly ${name}${isRequired ? "" : "?"}: ${type}${isRequired ? "" : " | undefined"}`
    })
    .join("\n")

const operationText = (operation: Operation): string => {
  const { description, method, path, requestBody, summary } = operation
  const params = fieldsOf(operation, "path")
  const query = fieldsOf(operation, "query")
  const body = bodyOf(operation)
  const isRequired = requestBody !== undefined && "required" in requestBody && requestBody.required === true
  const parts = [
    params === "" ? "" : `readonly params: {\n${params}\n}`,
    query === "" ? "" : `readonly query${/^readonly \w+:/m.test(query) ? "" : "?"}: {\n${query}\n}`,
    body === undefined ? "" : `readonly body${isRequired ? "" : "?"}: ${typeOf(body)}`,
    `readonly response: ${responseOf(operation)}`
  ]
  const name = `${method} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`
  return `${comment(sentence(summary), description)}"${name}": {\n${parts.filter((part) => part !== "").join("\n")}\n}`
}

const events = nodes(schemaOf("ReplyEvent")["anyOf"]).map((event) => {
  const [, data] =
    Object.entries(schemaOf(nameOf(event["$ref"]) ?? "")["properties"] ?? {}).find(([name]) => name === "data") ?? []
  const name = isNode(data) && isNode(data["contentSchema"]) ? nameOf(data["contentSchema"]["$ref"]) : undefined
  if (name === undefined) throw new Error("an event of ReplyEvent has no data")
  return name
})

const codes = Object.values(schemas).flatMap((schema) => {
  const { code, type } = isNode(schema) && isNode(schema["properties"]) ? schema["properties"] : {}
  if (!isNode(code) || !isNode(type) || !JSON.stringify(type).includes("urn:problem-type:")) return []
  return Array.isArray(code["enum"]) ? code["enum"].map(String) : []
})

const used = [
  ...new Set([
    ...operations.flatMap((operation) => {
      const answers = Object.entries(operation.responses).filter(([status]) => status.startsWith("2"))
      return [...reached([bodyOf(operation), ...answers.map(([, { content }]) => jsonOf(content))])]
    }),
    ...events.flatMap((name) => [name, ...reached(schemaOf(name))])
  ])
].sort()

const keyed = operations
  .filter(({ parameters }) => parameters.some(({ name }) => name.toLowerCase() === "idempotency-key"))
  .map(({ method, path }) => `${method} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`)

const source = `// Generated from the API's definition by \`npm run generate\`.

${used.map((name) => component(name, used)).join("\n")}
/** The data of an event of a reply's stream. */
export type ReplyEvent = ${events.join(" | ")}

/** The code of a problem. Later releases may add some. */
export type ProblemCode = ${[...new Set(codes)]
  .sort()
  .map((code) => JSON.stringify(code))
  .join(" | ")}

/** Every operation: what its request takes, and the JSON of its answer; \`Response\` where that is text, events or bytes. */
export interface Operations {
${operations.map(operationText).join("\n")}
}

/** Operations that take an idempotency key. */
export const keyed: ReadonlySet<string> = new Set([${keyed.map((name) => JSON.stringify(name)).join(", ")}])
`

const { code } = await format(
  "contract.ts",
  source,
  JSON.parse(readFileSync(new URL("../.oxfmtrc.json", import.meta.url), "utf8"))
)
if (!process.argv.includes("--check")) {
  writeFileSync(file, code)
} else if (readFileSync(file, "utf8") !== code) {
  process.stderr.write("client/src/contract.ts: not what openapi.json makes: run `npm run generate` and commit it\n")
  process.exitCode = 1
}

import { ids } from "../../src/api/Examples.ts"
import { unrouted } from "../../src/api/Problems.ts"
import { errorOf, isOpenAiPath } from "../../src/openai/ErrorResponse.ts"
import { child, eachOperation, isNode, type Node, nodes, resolved } from "./Node.ts"

const mediaType = "application/problem+json"

interface Example {
  readonly code: string
  readonly value: Node
  /** The name of its component. */
  readonly key: string
}

const list = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])
const firstOf = (schema: Node): unknown => list(schema["examples"])[0] ?? list(schema["enum"])[0]

/** Members in RFC 9457's order, all required: the server adds the optional ones. It never sends `instance`. */
const completed = (problem: Node): Node => {
  const { code, detail, instance: _, requestId, status, title, type, ...more } = child(problem, "properties") ?? {}
  const properties = {
    type,
    title,
    status,
    detail: { ...child(detail), description: "An explanation for people." },
    code: { ...child(code), description: "The stable code for clients to branch on." },
    requestId: { ...child(requestId), description: "The value of the header `X-Request-Id`.", examples: [ids.request] },
    ...more
  }
  return { ...problem, properties, required: Object.keys(properties) }
}

/** One example for each code; the nth example of `detail` is the nth code's. */
const examplesOf = (document: Node, name: string, problem: Node): ReadonlyArray<Example> => {
  const properties = child(problem, "properties") ?? {}
  const codes = list(child(properties, "code")?.["enum"])
  const details = list(child(properties, "detail")?.["examples"])
  return codes.map((code, index) => {
    const value: Node = {}
    for (const [member, schema] of Object.entries(properties)) value[member] = firstOf(resolved(document, child(schema) ?? {}))
    Object.assign(value, { detail: details[index] ?? value["title"], code })
    const missing = Object.keys(value).find((member) => value[member] === undefined)
    if (missing !== undefined) throw new Error(`${name} has no example of ${missing}`)
    return { code: String(code), value, key: codes.length === 1 ? name : `${name}.${String(code)}` }
  })
}

const namesIn = (media: Node): Array<string> => {
  const schema = child(media, "schema") ?? {}
  return [schema, ...nodes(schema["anyOf"])].flatMap(({ $ref }) =>
    typeof $ref === "string" ? [$ref.slice($ref.lastIndexOf("/") + 1)] : []
  )
}

const anyOf = (names: ReadonlyArray<string>): Node => {
  const [first, ...more] = names.map((name) => ({ $ref: `#/components/schemas/${name}` }))
  return more.length === 0 ? { ...first } : { anyOf: [first, ...more] }
}

/** Problems of a body are impossible for GET, and those of validation without any input. Other methods may send a body. */
const canOccur = (operation: Node, method: string) => {
  const hasBody = method !== "get"
  const hasInput = operation["requestBody"] !== undefined || nodes(operation["parameters"]).length > 0
  const impossible = new Set([
    ...(hasBody ? [] : ["BadJson", "RequestTimeout", "PayloadTooLarge", "UnsupportedMediaType"]),
    ...(hasInput ? [] : ["ValidationFailed"])
  ])
  return (name: string) => !impossible.has(name)
}

/** Completes the problems among the components and returns their examples. */
const completeProblems = (document: Node): ReadonlyMap<string, ReadonlyArray<Example>> => {
  const schemas = child(document, "components", "schemas") ?? {}
  const examples = new Map<string, ReadonlyArray<Example>>()
  for (const [name, schema] of Object.entries(schemas)) {
    if (!isNode(schema) || child(schema, "properties", "requestId") === undefined) continue
    const problem = completed(schema)
    schemas[name] = problem
    examples.set(name, examplesOf(document, name, problem))
  }
  return examples
}

/** The response that is one of these problems. When two share a code, the first is the example. */
const refusal = (names: ReadonlyArray<string>, shown: ReadonlyArray<Example>, intro = ""): Node => ({
  description: intro + shown.map(({ code, value }) => `\`${code}\`: ${String(value["detail"])}.`).join(" "),
  content: {
    [mediaType]: {
      schema: anyOf(names),
      examples: Object.fromEntries(shown.map(({ code, key }) => [code, { $ref: `#/components/examples/${key}` }]))
    }
  }
})

/** The response of OpenAI's form that is one of these problems. Where several have the same code, the first is the example. */
const openAiRefusal = (shown: ReadonlyArray<Example>, intro = ""): Node => {
  const errors = shown.map(({ value }) => ({ value, error: errorOf({ ...value, status: Number(value["status"]) }) }))
  const first = new Map(errors.toReversed().map(({ error }) => [String(error.error.code), error]))
  return {
    description: intro + errors.map(({ error, value }) => `\`${error.error.code}\`: ${String(value["detail"])}.`).join(" "),
    content: {
      "application/json": {
        schema: { $ref: "#/components/schemas/OpenAiError" },
        examples: Object.fromEntries([...first].toReversed().map(([code, value]) => [code, { value }]))
      }
    }
  }
}

/** A refusal may say that it is not worth a retry. */
const shouldRetry = { "x-should-retry": { required: false, schema: { type: "string", enum: ["false"] } } }
const optionalHeader = { required: false, schema: { type: "string" } }
const limitHeaders = { ...shouldRetry, "ratelimit-policy": optionalHeader, ratelimit: optionalHeader }

/** Deletes the problems that only refusals of OpenAI's form are made from. */
const deleteUnused = (document: Node, names: ReadonlySet<string>) => {
  const schemas = child(document, "components", "schemas") ?? {}
  const text = JSON.stringify(document)
  for (const name of names) if (!text.includes(`"#/components/schemas/${name}"`)) delete schemas[name]
}

/** Documents the codes of every refusal, with an example of each. */
export const documentProblems = (document: Node) => {
  const components = child(document, "components") ?? {}
  const examples = completeProblems(document)
  const used: Node = {}
  const show = (names: ReadonlyArray<string>): ReadonlyArray<Example> => {
    const all = names.flatMap((name) => examples.get(name) ?? [])
    const shown = all.filter(({ code }, index) => all.findIndex((other) => other.code === code) === index)
    for (const { key, value } of shown) used[key] = { value }
    return shown
  }

  const ofAny = unrouted.map(({ identifier }) => identifier)
  const beforeAll = "Refused before the request reached the operation. "
  components["responses"] = {
    Unrouted: refusal(ofAny, show(ofAny), beforeAll),
    UnroutedOpenAi: openAiRefusal(show(ofAny), beforeAll)
  }
  const ofOpenAi = new Set<string>()
  eachOperation(document, (operation, path, method) => {
    const isOpenAi = isOpenAiPath(path)
    const responses = child(operation, "responses") ?? {}
    const possible = canOccur(operation, method)
    for (const [status, response] of Object.entries(responses)) {
      const media = child(response, "content", mediaType)
      if (!isNode(response) || media === undefined) continue
      const names = namesIn(media).filter(possible)
      for (const name of isOpenAi ? names : []) ofOpenAi.add(name)
      if (names.length === 0) delete responses[status]
      else if (isOpenAi) {
        const headers = status === "429" ? limitHeaders : Number(status) >= 500 ? shouldRetry : response["headers"]
        const all = names.flatMap((name) => examples.get(name) ?? [])
        Object.assign(response, openAiRefusal(all), headers === undefined ? {} : { headers })
      } else Object.assign(response, refusal(names, show(names)))
    }
    responses["default"] = { $ref: `#/components/responses/${isOpenAi ? "UnroutedOpenAi" : "Unrouted"}` }
  })
  deleteUnused(document, ofOpenAi)
  components["examples"] = used
  listCodes(document, used)
}

/** Ends the introduction with a table of all codes, in the order of their statuses. */
const listCodes = (document: Node, used: Node) => {
  const rows = new Map<string, string>()
  for (const example of Object.values(used)) {
    const { code, detail, status } = child(example, "value") ?? {}
    const start = `| \`${String(code)}\` | ${String(status)} |`
    if (!rows.has(start)) rows.set(start, `${start} ${String(detail)} |`)
  }
  const inOrder = [...rows.values()].sort((a, b) => statusOf(a) - statusOf(b) || a.localeCompare(b, "en"))
  const info = child(document, "info") ?? {}
  info["description"] = [String(info["description"]), "", "| code | status | meaning |", "|---|---|---|", ...inOrder].join("\n")
}

const statusOf = (row: string): number => Number(row.split(" | ")[1])

import { STATUS_CODES } from "node:http"
import type { OpenApi, Operation } from "./OpenApi.ts"
import type { Request } from "./Entries.ts"

/** The documented example of an expected response, with the headers that it always has; undefined when it is not ours. */
export const exampleOf = ({ responses }: Operation, expected: string, media: string | undefined) => {
  const [status = "", code = "example"] = expected.split(" ")
  const response = responses[status]
  if (response === undefined) return undefined
  const { content = {}, headers = {} } = response
  const type = media ?? Object.keys(content)[0]
  const body = type === undefined ? "" : content[type]?.examples?.[code]?.value
  const required = Object.entries(headers).filter(([, header]) => header.required === true)
  return {
    name: `${status} ${STATUS_CODES[status] ?? ""}`,
    status: STATUS_CODES[status] ?? "",
    code: Number(status),
    _postman_previewlanguage: type?.endsWith("json") === true ? "json" : "text",
    header: [
      ...(type === undefined ? [] : [{ key: "Content-Type", value: type }]),
      ...required.map(([key, { example }]) => ({ key, value: String(example) }))
    ],
    cookie: [],
    body: typeof body === "string" ? body : JSON.stringify(body, null, 2)
  }
}

const schemasOf = <T extends { readonly schema: unknown }>(from: Readonly<Record<string, T>> = {}) =>
  Object.fromEntries(Object.entries(from).map(([key, { schema }]) => [key, schema]))

/** Leaves out the words for people. A property of one of these names is an object and stays. */
const validating = (key: string, value: unknown) =>
  (key === "description" && typeof value === "string") || (key === "examples" && Array.isArray(value)) ? undefined : value

/** A constant with one line for each member. */
const constant = (name: string, members: ReadonlyMap<string, unknown>) =>
  `const ${name} = {\n${[...members].map(([key, value]) => `  "${key}": ${JSON.stringify(value, validating)}`).join(",\n")}\n}\n`

/** JavaScript constants: the documented headers and content of each expected response, and the schemas that these refer to. */
export const documentedSource = (
  openApi: OpenApi,
  requests: ReadonlyArray<{ readonly request: Request; readonly operation: Operation }>
) => {
  const responses = new Map<string, unknown>()
  for (const { operation, request } of requests) {
    for (const expected of request.expected) {
      const [status = ""] = expected.split(" ")
      const response = operation.responses[status]
      if (response === undefined) continue
      const { content, headers = {} } = response
      const required = Object.keys(headers).filter((key) => headers[key]?.required === true)
      const shape = { type: "object", properties: schemasOf(headers), required }
      responses.set(`${operation.operationId} ${status}`, { headers: shape, content: schemasOf(content) })
    }
  }
  const schemas = new Map<string, unknown>()
  const add = (from: unknown) => {
    for (const [, name = ""] of JSON.stringify(from).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (schemas.has(name)) continue
      schemas.set(name, openApi.schemas[name])
      add(openApi.schemas[name])
    }
  }
  add([...responses.values()])
  return `${constant("responses", responses)}${constant("schemas", schemas)}`
}

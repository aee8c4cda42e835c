import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { STATUS_CODES } from "node:http"
import type { OpenApi, Operation } from "./OpenApi.ts"
import { requestOf } from "./Request.ts"
import { about, type Folder, folders, isFolder, name, type Request, requestsOf, type Variable, variables } from "./requests.ts"

interface Event {
  readonly listen: "prerequest" | "test"
  readonly script: { readonly type: "text/javascript"; readonly exec: ReadonlyArray<string> }
}

interface SavedResponse {
  readonly id: string
  readonly name: string
  readonly originalRequest: object
  readonly status: string
  readonly code: number
  readonly _postman_previewlanguage: string
  readonly header: ReadonlyArray<{ readonly key: string; readonly value: string }>
  readonly cookie: ReadonlyArray<never>
  readonly body: string
}

export interface PostmanItem {
  readonly id: string
  readonly name: string
  readonly description?: string
  readonly event: ReadonlyArray<Event>
  readonly protocolProfileBehavior?: { readonly followRedirects: boolean }
  readonly request?: ReturnType<typeof requestOf>
  readonly item?: ReadonlyArray<PostmanItem>
  readonly response?: ReadonlyArray<SavedResponse>
}

/** A name always has the same id, so that generating again changes only what has changed. */
const idOf = (path: string) => {
  const hex = createHash("sha256").update(path).digest("hex")
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20, 32)].join("-")
}

const event = (listen: Event["listen"], source: string): Event => ({
  listen,
  script: { type: "text/javascript", exec: source.trim().split("\n") }
})

const scriptFile = (name: string) => readFileSync(new URL(`scripts/${name}.js`, import.meta.url), "utf8")

/** Each expected status as text, such as "200" or "422 same_password". */
export const expectedOf = ([, , expected]: Request): ReadonlyArray<string> => [expected].flat().map(String)

/** The operation of a request; throws when openapi.json does not have what the table says. */
const operationOf = (openApi: OpenApi, request: Request): Operation => {
  const [name, id, , { path, query } = {}] = request
  const [method = "", url] = id.split(" ")
  if (url !== undefined) {
    const responses = url.startsWith("/") ? { 404: openApi.unrouted, 405: openApi.unrouted } : {}
    return { operationId: id, method, path: url, parameters: [], security: [{ bearer: [] }], responses }
  }
  const operation = openApi.operations.get(id)
  if (operation === undefined) throw new Error(`${name}: openapi.json has no operation ${id}`)
  const check = (what: string, given: ReadonlyArray<string>, documented: ReadonlyArray<string>) => {
    const unknown = given.filter((each) => !documented.includes(each))
    if (unknown.length > 0) throw new Error(`${name}: ${id} has no ${what} ${unknown.join(", ")}`)
  }
  const named = (place: string) => operation.parameters.filter((each) => each.in === place).map((each) => each.name)
  check("path parameter", Object.keys(path ?? {}), named("path"))
  check("query parameter", Object.keys(query ?? {}), named("query"))
  const documented = Object.entries(operation.responses).flatMap(([status, { content }]) => [
    status,
    ...Object.keys(content?.["application/problem+json"]?.examples ?? {}).map((code) => `${status} ${code}`)
  ])
  check("answer", expectedOf(request), documented)
  return operation
}

/** The documented example of a response, with the headers that are always there. */
const savedResponse = (request: Request, operation: Operation, expected: string): ReadonlyArray<SavedResponse> => {
  const [name, , , details = {}] = request
  const [status = "", code = "example"] = expected.split(" ")
  const response = operation.responses[status]
  if (response === undefined) return []
  const { headers = {}, content = {} } = response
  const type = details.media ?? Object.keys(content)[0]
  const body = type === undefined ? "" : content[type]?.examples?.[code]?.value
  const { description: _, ...originalRequest } = requestOf(operation, details)
  const reason = STATUS_CODES[status] ?? ""
  return [
    {
      id: idOf(`example ${name} ${expected}`),
      name: `${status} ${reason}`,
      originalRequest,
      status: reason,
      code: Number(status),
      _postman_previewlanguage: type?.endsWith("json") === true ? "json" : "text",
      header: [
        ...(type === undefined ? [] : [{ key: "Content-Type", value: type }]),
        ...Object.entries(headers).flatMap(([key, { example, required }]) =>
          required === true ? [{ key, value: String(example) }] : []
        )
      ],
      cookie: [],
      body: typeof body === "string" ? body : JSON.stringify(body, null, 2)
    }
  ]
}

const requestItem = (openApi: OpenApi, request: Request): PostmanItem => {
  const [name, , , details = {}] = request
  const operation = operationOf(openApi, request)
  const { after, before, media, save, set = {}, until } = details
  const check = { operation: operation.operationId, expect: expectedOf(request), media, save, until }
  const prerequest = [
    `pm.variables.set("check", JSON.stringify(${JSON.stringify(check, null, 2)}))`,
    ...Object.entries(set).map(([key, value]) => `pm.variables.set("${key}", "${value}")`),
    ...(before === undefined ? [] : [scriptFile(before)])
  ]
  return {
    id: idOf(`request ${name}`),
    name,
    event: [event("prerequest", prerequest.join("\n")), ...(after === undefined ? [] : [event("test", scriptFile(after))])],
    protocolProfileBehavior: { followRedirects: false },
    request: requestOf(operation, details),
    response: expectedOf(request).flatMap((expected) => savedResponse(request, operation, expected))
  }
}

const itemOf = (openApi: OpenApi, entry: Folder | Request): PostmanItem =>
  isFolder(entry)
    ? {
        id: idOf(`folder ${entry.name}`),
        name: entry.name,
        description: entry.about,
        item: entry.requests.map((each) => itemOf(openApi, each)),
        event: entry.before === undefined ? [] : [event("prerequest", scriptFile(entry.before))]
      }
    : requestItem(openApi, entry)

/** A schema with its validating keywords only. */
const bare = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(bare)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([keyword, member]) =>
          !["title", "default", "examples"].includes(keyword) && !(keyword === "description" && typeof member === "string")
      )
      .map(([keyword, member]) => [keyword, bare(member)])
  )
}

/** What openapi.json says about the headers and the body of each expected response, and the schemas that these refer to. */
const documentedOf = (openApi: OpenApi) => {
  const responses: Record<string, unknown> = {}
  for (const request of requestsOf(folders)) {
    const operation = operationOf(openApi, request)
    for (const expected of expectedOf(request)) {
      const [status = ""] = expected.split(" ")
      const response = operation.responses[status]
      if (response === undefined) continue
      const headers = Object.entries(response.headers ?? {})
      responses[`${operation.operationId} ${status}`] = bare({
        headers: {
          type: "object",
          properties: Object.fromEntries(headers.map(([key, { schema }]) => [key, schema])),
          required: headers.flatMap(([key, { required }]) => (required === true ? [key] : []))
        },
        content: Object.fromEntries(Object.entries(response.content ?? {}).map(([type, { schema }]) => [type, schema]))
      })
    }
  }
  const schemas: Record<string, unknown> = {}
  const add = (from: unknown) => {
    for (const [, name = ""] of JSON.stringify(from).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (name in schemas) continue
      schemas[name] = bare(openApi.schemas[name])
      add(schemas[name])
    }
  }
  add(responses)
  return { responses, schemas }
}

/** A constant with one line for each member. */
const constant = (name: string, members: Readonly<Record<string, unknown>>) =>
  `const ${name} = {\n${Object.entries(members)
    .map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`)
    .join(",\n")}\n}\n`

/** The collection in Postman's format v2.1. */
export const makeCollection = (openApi: OpenApi) => {
  const { responses, schemas } = documentedOf(openApi)
  return {
    info: {
      _postman_id: idOf("collection"),
      name,
      description: about,
      schema: "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
    },
    item: folders.map((folder) => itemOf(openApi, folder)),
    auth: { type: "bearer", bearer: [{ key: "token", value: "{{token}}", type: "string" }] },
    event: [event("test", `${constant("responses", responses)}${constant("schemas", schemas)}${scriptFile("check")}`)],
    variable: Object.entries<Variable>(variables).map(([key, { about, value = "" }]) => ({
      key,
      value,
      type: "string",
      description: about
    }))
  }
}

const environment = (name: string, baseUrl: string) => ({
  id: idOf(`environment ${name}`),
  name,
  values: [{ key: "baseUrl", value: baseUrl, type: "default", enabled: true }],
  _postman_variable_scope: "environment"
})

const repeated = (names: ReadonlyArray<string>) => names.filter((name, index) => names.indexOf(name) !== index)

/** The faults of the table, one in a line: operations without a request, repeated names, unknown and unused variables. */
export const faultsOf = (openApi: OpenApi): ReadonlyArray<string> => {
  const requests = requestsOf(folders)
  const source = JSON.stringify(makeCollection(openApi))
  const found = (pattern: RegExp) => [...source.matchAll(pattern)].map(([, name = ""]) => name)
  const local = found(/pm\.variables\.set\(\\"(\w+)\\"/g)
  const used = found(/(?:\{\{|ariables\.get\(\\")(\w+)/g)
  return [
    ...[...openApi.operations.keys()]
      .filter((id) => !requests.some(([, operation]) => operation === id))
      .map((id) => `no request for the operation ${id}`),
    ...repeated(requests.map(([name]) => name)).map((name) => `two requests are called ${name}`),
    ...[...new Set(used)]
      .filter((name) => !(name in variables) && !local.includes(name))
      .map((name) => `the variable ${name} is not declared`),
    ...Object.keys(variables)
      .filter((name) => !used.includes(name))
      .map((name) => `the variable ${name} is not used`)
  ]
}

/** Every generated file, by its path from the root. */
export const makeFiles = (openApi: OpenApi): ReadonlyMap<string, string> => {
  const files = {
    "postman/gemini-chat-backend.postman_collection.json": makeCollection(openApi),
    "postman/local.postman_environment.json": environment("Gemini chat: local", "http://localhost:3000"),
    "postman/render.postman_environment.json": environment("Gemini chat: Render", "https://your-service.onrender.example")
  }
  return new Map(Object.entries(files).map(([file, content]) => [file, `${JSON.stringify(content, null, 2)}\n`]))
}

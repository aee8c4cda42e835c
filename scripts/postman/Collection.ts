import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { type Folder, isFolder, type Request, requestsOf } from "./Entries.ts"
import type { OpenApi, Operation } from "./OpenApi.ts"
import { pathOf, requestOf } from "./Request.ts"
import { about, folders, name } from "./requests.ts"
import { initialValues, variables } from "./Variables.ts"
import { documentedSource, exampleOf } from "./Responses.ts"

interface Event {
  readonly listen: "prerequest" | "test"
  readonly script: { readonly type: "text/javascript"; readonly exec: ReadonlyArray<string> }
}

type SavedResponse = { readonly id: string; readonly originalRequest: object } & NonNullable<ReturnType<typeof exampleOf>>

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

/** The operation of a request; throws when openapi.json does not have what the table says. */
const operationOf = (openApi: OpenApi, request: Request): Operation => {
  const { details, name, operation: id } = request
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
  check("path parameter", Object.keys(details.path ?? {}), named("path"))
  check("query parameter", Object.keys(details.query ?? {}), named("query"))
  const missing = named("path").filter((each) => pathOf(details)[each] === undefined)
  if (missing.length > 0) throw new Error(`${name}: no value for ${missing.join(", ")}`)
  const documented = Object.entries(operation.responses).flatMap(([status, { content }]) => [
    status,
    ...Object.values(content ?? {}).flatMap(({ examples }) => Object.keys(examples ?? {}).map((code) => `${status} ${code}`))
  ])
  check("answer", request.expected, documented)
  return operation
}

const savedResponses = ({ details, expected, name }: Request, operation: Operation): ReadonlyArray<SavedResponse> => {
  const { description: _, ...originalRequest } = requestOf(operation, details)
  return expected.flatMap((each) => {
    const example = exampleOf(operation, each, details.media)
    return example === undefined ? [] : [{ id: idOf(`example ${name} ${each}`), originalRequest, ...example }]
  })
}

const requestItem = (openApi: OpenApi, request: Request): PostmanItem => {
  const { details, expected, name } = request
  const { after, before, media, save, set = {}, until } = details
  const operation = operationOf(openApi, request)
  const check = { operation: operation.operationId, expect: expected, media, save, until }
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
    response: savedResponses(request, operation)
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

/** The collection in Postman's format v2.1. */
export const makeCollection = (openApi: OpenApi) => {
  const requests = requestsOf(folders).map((request) => ({ request, operation: operationOf(openApi, request) }))
  return {
    info: {
      _postman_id: idOf("collection"),
      name,
      description: about,
      schema: "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
    },
    item: folders.map((folder) => itemOf(openApi, folder)),
    auth: { type: "bearer", bearer: [{ key: "token", value: "{{token}}", type: "string" }] },
    event: [event("test", documentedSource(openApi, requests) + scriptFile("check"))],
    variable: Object.entries(variables).map(([key, description]) => ({
      key,
      value: initialValues[key] ?? "",
      type: "string",
      description
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
      .filter((id) => !requests.some(({ operation }) => operation === id))
      .map((id) => `no request for the operation ${id}`),
    ...repeated(requests.map(({ name }) => name)).map((name) => `two requests are called ${name}`),
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

import { createHash } from "node:crypto"
import { STATUS_CODES } from "node:http"
import type { Document, Operation } from "./Document.ts"
import type { Example, Examples } from "./Examples.ts"
import { everyAnswer } from "./overlay/everyAnswer.ts"
import { about, folders, name, variables } from "./overlay/index.ts"
import { type Call, type Folder, isCall, isFolder, type Item, type Visit } from "./Overlay.ts"
import { type PostmanRequest, requestOfCall, requestOfVisit } from "./Request.ts"
import { statusesOf, testsOf } from "./Tests.ts"

interface Event {
  readonly listen: "prerequest" | "test"
  readonly script: { readonly type: "text/javascript"; readonly exec: ReadonlyArray<string> }
}

export interface PostmanItem {
  readonly id: string
  readonly name: string
  readonly description?: string
  readonly event: ReadonlyArray<Event>
  readonly request?: PostmanRequest
  readonly item?: ReadonlyArray<PostmanItem>
  readonly response?: ReadonlyArray<object>
}

/** The same name has the same id for ever, so that a new generation changes only what has changed. */
const idOf = (path: string) => {
  const hex = createHash("sha256").update(path).digest("hex")
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20, 32)].join("-")
}

const event = (listen: Event["listen"], source: string): Event => ({
  listen,
  script: { type: "text/javascript", exec: source.split("\n") }
})

const exampleOf = (id: string, request: PostmanRequest, { body, header, status }: Example) => {
  const { description: _, ...original } = request
  const reason = STATUS_CODES[status] ?? ""
  return {
    id,
    name: `${status} ${reason}`,
    originalRequest: original,
    status: reason,
    code: status,
    _postman_previewlanguage: body.startsWith("{") ? "json" : "text",
    header: Object.entries(header).map(([key, value]) => ({ key, value })),
    cookie: [],
    body
  }
}

const operationOf = (document: Document, step: Call): Operation => {
  const operation = document.operations.get(step.operation)
  if (operation === undefined) throw new Error(`${step.name}: the document has no operation ${step.operation}`)
  const known = (place: string) => operation.parameters.filter((each) => each.in === place).map((each) => each.name)
  const check = (what: string, given: ReadonlyArray<string>, documented: ReadonlyArray<string>) => {
    const strange = given.filter((each) => !documented.includes(each))
    if (strange.length > 0) throw new Error(`${step.name}: ${step.operation} has no ${what} ${strange.join(", ")}`)
  }
  const path = Object.keys(step.path ?? {})
  check("path parameter", path, known("path"))
  check("query parameter", Object.keys(step.query ?? {}), known("query"))
  check("answer", statusesOf(step).map(String), Object.keys(operation.responses))
  const missing = known("path").filter((each) => !path.includes(each))
  if (missing.length > 0) throw new Error(`${step.name}: no value for ${missing.join(", ")}`)
  return operation
}

const requestItem = (document: Document, examples: Examples, step: Call | Visit): PostmanItem => {
  const operation = isCall(step) ? operationOf(document, step) : undefined
  const request = isCall(step) && operation !== undefined ? requestOfCall(step, operation) : requestOfVisit(step as Visit)
  const example = examples[step.name]
  return {
    id: idOf(`request ${step.name}`),
    name: step.name,
    event: [
      ...(step.before === undefined ? [] : [event("prerequest", step.before)]),
      event("test", testsOf(document, step, operation))
    ],
    // What the server answers is what is tested, not where it leads to.
    ...(isCall(step) ? {} : { protocolProfileBehavior: { followRedirects: false } }),
    request,
    response: example === undefined ? [] : [exampleOf(idOf(`example ${step.name}`), request, example)]
  }
}

const folderItem = (document: Document, examples: Examples, folder: Folder): PostmanItem => ({
  id: idOf(`folder ${folder.name}`),
  name: folder.name,
  description: folder.about,
  item: folder.items.map((item) => itemOf(document, examples, item)),
  event: folder.before === undefined ? [] : [event("prerequest", folder.before)]
})

const itemOf = (document: Document, examples: Examples, item: Item): PostmanItem =>
  isFolder(item) ? folderItem(document, examples, item) : requestItem(document, examples, item)

/** The collection in Postman's format v2.1. */
export const makeCollection = (document: Document, examples: Examples) => ({
  info: {
    _postman_id: idOf("collection"),
    name,
    description: about,
    schema: "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
  },
  item: folders.map((folder) => itemOf(document, examples, folder)),
  auth: { type: "bearer", bearer: [{ key: "token", value: "{{token}}", type: "string" }] },
  event: [event("test", everyAnswer)],
  variable: variables.map(({ about, key, value }) => ({ key, value, type: "string", description: about }))
})

const environment = (name: string, baseUrl: string) => ({
  id: idOf(`environment ${name}`),
  name,
  values: [{ key: "baseUrl", value: baseUrl, type: "default", enabled: true }],
  _postman_variable_scope: "environment"
})

/** Every generated file, by its path from the root. */
export const makeFiles = (document: Document, examples: Examples): ReadonlyMap<string, string> => {
  const files = {
    "postman/gemini-chat-backend.postman_collection.json": makeCollection(document, examples),
    "postman/local.postman_environment.json": environment("Gemini chat: local", "http://localhost:3000"),
    "postman/render.postman_environment.json": environment("Gemini chat: Render", "https://your-service.onrender.example")
  }
  return new Map(Object.entries(files).map(([file, content]) => [file, `${JSON.stringify(content, null, 2)}\n`]))
}

import { Context } from "effect"
import { HttpApi } from "effect/http-api"
import { CacheControl, noStore } from "../../src/api/Annotations.ts"
import { Api } from "../../src/api/Api.ts"
import { child, eachOperation, isNode, type Node, operationOf } from "./Node.ts"

const text = (description: string, example: string, rules: Node = {}): Node => ({
  description,
  schema: { type: "string", ...rules },
  example
})

/** Every documented header, by its name as RFCs write it. */
const headers: Node = {
  "X-Request-Id": text("The request's id: the client's own, if it sent a valid one.", "8f14e45f-ceea-467f-9c2b-5d1f0c2a7b90", {
    pattern: "^[\\w-]{1,64}$"
  }),
  "Retry-After": {
    description: "Seconds to wait before a retry.",
    schema: { type: "integer", minimum: 0 },
    example: 1
  },
  "X-Should-Retry": text("Present when repeating the request would fail too.", "false", {
    enum: ["false"]
  }),
  "WWW-Authenticate": text(
    "RFC 6750: the scheme to authenticate with, and what is wrong with the token that was sent.",
    'Bearer realm="chat-backend"'
  ),
  Allow: text("With 405: the methods of the resource.", "GET, HEAD"),
  Location: text("The path of the created resource.", "/chatroom/01a1fd71-dc20-7d14-9c25-6d4455667704", {
    format: "uri-reference"
  }),
  "Idempotent-Replayed": text("Present when the response is that of an earlier request with the same key.", "true", {
    enum: ["true"]
  }),
  "RateLimit-Policy": text("The daily quota; absent when unlimited.", '"daily";q=5;w=86400', {
    pattern: '^"daily";q=\\d+;w=86400$'
  }),
  RateLimit: text("The rest of the quota, and the seconds until it resets; absent when unlimited.", '"daily";r=4;t=52080', {
    pattern: '^"daily";r=\\d+;t=\\d+$'
  }),
  Link: text(
    'RFC 8288: the next page, `rel="next"`; absent on the last page.',
    '</search?q=loom&cursor=eyJiZWZvcmUiOiIwMWEx>; rel="next"'
  ),
  ETag: text("Identifies the content of the page, for `If-None-Match`.", '"Zr0Qx1n8m2Yb4Wc6Ve5Ta7Sd9Uf"'),
  "Cache-Control": text("Which caches may store the response.", noStore, { enum: [noStore] }),
  "Cache-Status": text("RFC 9211: `chatrooms; hit`, or why the cache was not used.", "chatrooms; hit"),
  "X-Robots-Tag": text("Keeps the response out of search engines.", "noindex", { enum: ["noindex"] }),
  "X-Vercel-AI-UI-Message-Stream": text("The protocol of the stream, for the AI SDK.", "v1", { enum: ["v1"] }),
  Vary: text("The request headers that the response depends on.", "Accept, Accept-Encoding"),
  "Accept-Ranges": text("RFC 9110: ranges are in bytes.", "bytes", { enum: ["bytes"] }),
  "Content-Range": text("RFC 9110: the range, and the bytes of the whole.", "bytes 0-1023/7340032"),
  "Content-Disposition": text("The name of the file.", 'attachment; filename="export.json"')
}

const canonical = new Map([...Object.keys(headers), "Last-Event-ID"].map((name) => [name.toLowerCase(), name]))
const capitalised = (name: string) => name.replaceAll(/(?:^|-)[a-z]/g, (start) => start.toUpperCase())

/** `etag` → `ETag`, `stripe-signature` → `Stripe-Signature`. */
export const headerName = (name: string): string => canonical.get(name.toLowerCase()) ?? capitalised(name)

interface Use {
  readonly isRequired: boolean
  /** The one value that the header has here; undefined when there are several. */
  readonly value?: string | undefined
}

/** A reference to the component for a header that every such response has; inline when optional or of another value. */
const described = (name: string, { isRequired, value }: Use): Node => {
  const header = headers[name]
  if (!isNode(header)) throw new Error(`add ${name} to the headers of ${import.meta.filename}`)
  const own = value === undefined || value === header["example"] ? header : { ...header, ...onlyValue(value) }
  return isRequired && own === header ? { $ref: `#/components/headers/${name}` } : { ...own, required: isRequired }
}

const onlyValue = (value: string): Node => ({ schema: { type: "string", enum: [value] }, example: value })

const useOf = (header: Node | undefined): Use => {
  const values = child(header, "schema")?.["enum"]
  const value = Array.isArray(values) && values.length === 1 ? String(values[0]) : undefined
  return { isRequired: header?.["required"] === true, value }
}

const impliedBy = (status: string): ReadonlyArray<string> =>
  status === "429" || status === "503" ? ["Retry-After"] : status === "401" ? ["WWW-Authenticate"] : []

/** The headers that a response's schema names, and those that the server adds to every response of its kind. */
const headersOf = (response: Node, added: ReadonlyArray<string>, cacheControl?: string | undefined): Node => {
  const named = Object.entries(child(response, "headers") ?? {}).map(
    ([name, header]) => [headerName(name), useOf(child(header))] as const
  )
  const all = new Map<string, Use>([...named, ...added.map((name) => [name, { isRequired: true }] as const)])
  if (cacheControl !== undefined && !all.has("Cache-Control")) all.set("Cache-Control", { isRequired: true, value: cacheControl })
  return Object.fromEntries([...all].map(([name, use]) => [name, described(name, use)]))
}

/** The `Cache-Control` of operations that have one, as the API's definition says. */
const cacheControls = (document: Node): ReadonlyMap<Node, string> => {
  const found = new Map<Node, string>()
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint, mergedAnnotations }) => {
      const value = Context.get(mergedAnnotations, CacheControl)
      const operation = operationOf(document, endpoint)
      if (value !== undefined && operation !== undefined) found.set(operation, value)
    }
  })
  return found
}

export const documentHeaders = (document: Node) => {
  const components = child(document, "components") ?? {}
  for (const unrouted of Object.values(child(components, "responses") ?? {})) {
    if (isNode(unrouted)) unrouted["headers"] = headersOf({ headers: { Allow: {} } }, ["X-Request-Id"])
  }
  const ofOperation = cacheControls(document)
  eachOperation(document, (operation) => {
    for (const [status, response] of Object.entries(child(operation, "responses") ?? {})) {
      if (!isNode(response) || response["$ref"] !== undefined) continue
      response["headers"] = headersOf(response, ["X-Request-Id", ...impliedBy(status)], ofOperation.get(operation))
    }
  })
  const source = JSON.stringify(document)
  const used = Object.entries(headers).filter(([name]) => source.includes(`"#/components/headers/${name}"`))
  components["headers"] = Object.fromEntries(used.map(([name, header]) => [name, { ...child(header), required: true }]))
}

import { child, eachOperation, isNode, type Node, nodes } from "./Node.ts"

/** Shell variables as in the README's walk-through; other path parameters are written as their own name. */
const variables: Readonly<Record<string, string>> = {
  "/chatroom/{id}": "ROOM",
  "/ai/chat/{id}": "ROOM",
  "{mid}": "REPLY",
  "/auth/sessions/{id}": "SESSION"
}

const pathOf = (path: string): string =>
  Object.entries(variables).reduce((known, [place, name]) => known.replace(place, place.replace(/\{\w+\}/, `$${name}`)), path)

/** The value of the first of named examples. */
const exampleIn = (node: Node | undefined): unknown => {
  const [first] = Object.values(child(node, "examples") ?? {})
  return isNode(first) ? first["value"] : undefined
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

const tokenOf = (path: string): string => (path === "/metrics" || path.startsWith("/admin") ? "ADMIN_TOKEN" : "TOKEN")

const curl = (document: Node, operation: Node, path: string, method: string): string => {
  const required = nodes(operation["parameters"]).filter((parameter) => parameter["required"] === true)
  const query = required
    .filter((parameter) => parameter["in"] === "query")
    .map((parameter) => `${String(parameter["name"])}=${encodeURIComponent(String(exampleIn(parameter) ?? ""))}`)
  const server = String(nodes(document["servers"])[0]?.["url"] ?? "")
  const body = exampleIn(child(operation, "requestBody", "content", "application/json"))
  const hasToken = nodes(operation["security"]).length > 0
  const flags = [
    ...(child(operation, "responses", "200", "content", "text/event-stream") === undefined ? [] : ["-N"]),
    ...(method === "get" || (method === "post" && body !== undefined) ? [] : [`-X ${method.toUpperCase()}`])
  ]
  const address = `"${server}${pathOf(path)}${query.length === 0 ? "" : `?${query.join("&")}`}"`
  return [
    ["curl", ...flags, address].join(" "),
    ...(hasToken ? [`-H "authorization: Bearer $${tokenOf(path)}"`] : []),
    ...(body === undefined ? [] : [`-H 'content-type: application/json'`, `-d ${quoted(JSON.stringify(body))}`])
  ].join(" \\\n  ")
}

/**
 * Adds a sample to every operation. Those that tools derive from the document send every optional parameter, some with an
 * empty value that the server refuses.
 */
export const addSamples = (document: Node) =>
  eachOperation(document, (operation, path, method) => {
    operation["x-codeSamples"] = [{ lang: "Shell", label: "curl", source: curl(document, operation, path, method) }]
  })

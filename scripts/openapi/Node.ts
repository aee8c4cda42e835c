/** An object of the document. Its shape is the OpenAPI specification's. */
export type Node = { [key: string]: unknown }

export const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && !Array.isArray(value)

export const child = (node: unknown, ...path: ReadonlyArray<string>): Node | undefined => {
  const found = path.reduce<unknown>((at, key) => (isNode(at) ? at[key] : undefined), node)
  return isNode(found) ? found : undefined
}

export const nodes = (value: unknown): Array<Node> => (Array.isArray(value) ? value.filter(isNode) : [])

/** The component that a schema refers to, or the schema itself. */
export const resolved = (document: Node, schema: Node): Node =>
  typeof schema["$ref"] === "string" ? (child(document, ...schema["$ref"].slice(2).split("/")) ?? {}) : schema

/** The operation that documents an endpoint of the API. */
export const operationOf = (document: Node, { method, path }: { readonly method: string; readonly path: string }) =>
  child(document, "paths", path.replace(/:(\w+)/g, "{$1}"), method.toLowerCase())

export const eachOperation = (document: Node, visit: (operation: Node, path: string, method: string) => void) => {
  for (const [path, methods] of Object.entries(child(document, "paths") ?? {})) {
    if (!isNode(methods)) continue
    for (const [method, operation] of Object.entries(methods)) if (isNode(operation)) visit(operation, path, method)
  }
}

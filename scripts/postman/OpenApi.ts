import { readFileSync } from "node:fs"

export interface Parameter {
  readonly name: string
  readonly in: "path" | "query" | "header"
  readonly description?: string | undefined
  readonly schema?: { readonly description?: string | undefined } | undefined
}

type Content = Readonly<
  Record<
    string,
    { readonly schema: object; readonly examples?: Readonly<Record<string, { readonly value: unknown }>> | undefined }
  >
>

export interface Response {
  readonly headers?: Readonly<
    Record<string, { readonly schema: object; readonly example?: unknown; readonly required?: boolean | undefined }>
  >
  readonly content?: Content | undefined
}

export interface Operation {
  readonly method: string
  readonly path: string
  readonly operationId: string
  readonly summary?: string | undefined
  readonly description?: string | undefined
  readonly parameters: ReadonlyArray<Parameter>
  /** The scheme's name is `bearer` or `admin`; empty when the operation is open. */
  readonly security: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly requestBody?: { readonly content: Content } | undefined
  readonly responses: Readonly<Record<string, Response>>
}

/** The parts of openapi.json that the collection is made of. */
export interface OpenApi {
  readonly operations: ReadonlyMap<string, Operation>
  readonly schemas: Readonly<Record<string, object>>
  /** The response to a request that is none of the operations. */
  readonly unrouted: Response
}

interface Root {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Omit<Operation, "method" | "path">>>>>
  readonly components: { readonly schemas: OpenApi["schemas"]; readonly responses: { readonly Unrouted: Response } }
}

export const openApiFile = new URL("../../openapi.json", import.meta.url)

/** Reads openapi.json and resolves its references, except those to schemas. */
export const readOpenApi = (): OpenApi => {
  const root = JSON.parse(readFileSync(openApiFile, "utf8"))
  const find = (reference: string) => reference.split("/").reduce((value, key) => (key === "#" ? root : value[key]), root)
  const resolve = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(resolve)
    if (typeof value !== "object" || value === null) return value
    const reference = "$ref" in value ? String(value.$ref) : "#/components/schemas/"
    if (!reference.startsWith("#/components/schemas/")) return resolve(find(reference))
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, resolve(member)]))
  }
  const { components, paths } = resolve(root) as Root
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path }))
  )
  return {
    operations: new Map(operations.map((each) => [each.operationId, each])),
    schemas: components.schemas,
    unrouted: components.responses.Unrouted
  }
}

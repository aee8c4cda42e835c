import { readFileSync } from "node:fs"

/** The parts of OpenAPI 3.1 that the collection is made of. */
export interface Parameter {
  readonly name: string
  readonly in: "path" | "query" | "header"
  readonly required?: boolean
  readonly description?: string
  readonly schema?: JsonSchema
}

export interface JsonSchema {
  readonly $ref?: string
  readonly type?: string | ReadonlyArray<string>
  readonly anyOf?: ReadonlyArray<JsonSchema>
  readonly description?: string
  readonly [keyword: string]: unknown
}

interface Response {
  readonly content?: Readonly<Record<string, { readonly schema: JsonSchema }>>
}

export interface Operation {
  readonly method: string
  readonly path: string
  readonly operationId: string
  readonly summary?: string
  readonly description?: string
  readonly parameters: ReadonlyArray<Parameter>
  readonly security: ReadonlyArray<unknown>
  readonly responses: Readonly<Record<string, Response>>
}

export interface Document {
  readonly operations: ReadonlyMap<string, Operation>
  readonly schemas: Readonly<Record<string, JsonSchema>>
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Omit<Operation, "method" | "path">>>>>
  readonly components: { readonly schemas: Document["schemas"] }
}

export const documentFile = new URL("../../openapi.json", import.meta.url)

/** The API's own description of itself, by operation. */
export const readDocument = (): Document => {
  const { components, paths }: OpenApi = JSON.parse(readFileSync(documentFile, "utf8"))
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path }))
  )
  return { operations: new Map(operations.map((each) => [each.operationId, each])), schemas: components.schemas }
}

import { OpenApi } from "effect/http-api"

/** The texts of an operation in the API document. The identifier has no dots, because client generators mishandle them. */
export const describe = (identifier: string, summary: string, description?: string) =>
  OpenApi.annotations({ identifier, summary, ...(description === undefined ? {} : { description }) })

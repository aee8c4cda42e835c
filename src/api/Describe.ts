import { OpenApi } from "effect/http-api"

/** What the API's document says of an operation; its identifier has no dots, which generators would stumble over. */
export const describe = (identifier: string, summary: string, description?: string) =>
  OpenApi.annotations({ identifier, summary, ...(description === undefined ? {} : { description }) })

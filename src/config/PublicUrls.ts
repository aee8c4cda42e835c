import { Effect } from "effect"
import type { Environment } from "./Environment.ts"
import { fail, items, optional, url } from "./Reading.ts"

/** The base URL of links, without a trailing slash. */
export const appUrl = Effect.fnUntraced(function* (environment: Environment, port: number) {
  // Render sets it to the service's own address.
  const renderUrl = yield* optional("RENDER_EXTERNAL_URL")
  const configured = (yield* optional("APP_URL")) ?? renderUrl
  if (configured === undefined && environment === "production") {
    return yield* fail("APP_URL", "is required in production (https://…)")
  }
  return yield* url("APP_URL", configured ?? `http://localhost:${port}`, ["http:", "https:"])
})

/** The path under which everything is served as well. */
export const apiPrefix = Effect.gen(function* () {
  const prefix = yield* optional("API_PREFIX")
  return prefix === undefined || /^(\/[\w-]+)+$/.test(prefix) ? prefix : yield* fail("API_PREFIX", "must look like /api")
})

/** The pages that may call the API: origins without a path, as browsers send them, because they are compared as text. */
export const corsOrigins = Effect.gen(function* () {
  const list = (yield* optional("CORS_ORIGINS")) ?? ""
  const origins = items(list)
  const isOrigin = (text: string) => URL.canParse(text) && new URL(text).origin === text
  return list.trim() === "*" || origins.every(isOrigin)
    ? origins
    : yield* fail("CORS_ORIGINS", "must be * or a list of origins like https://app.example")
})

import type { Operation, Parameter } from "./Document.ts"
import type { Call, Visit } from "./Overlay.ts"

interface Pair {
  readonly key: string
  readonly value: string
  readonly description?: string
  readonly disabled?: true
}

export interface PostmanRequest {
  readonly method: string
  readonly description?: string
  readonly auth?: object
  readonly header: ReadonlyArray<Pair>
  readonly url: object
  readonly body?: object
}

/** `noauth`, another token, or nothing: then the collection's own token is inherited. */
const authOf = (token: string | undefined, isOpen: boolean) => {
  if (token === "nobody" || (token === undefined && isOpen)) return { auth: { type: "noauth" } }
  return token === undefined
    ? {}
    : { auth: { type: "bearer", bearer: [{ key: "token", value: `{{${token}}}`, type: "string" }] } }
}

/** The values that the overlay gives, then the rest of what the operation takes, switched off. */
const pairs = (given: Readonly<Record<string, string>>, parameters: ReadonlyArray<Parameter>): ReadonlyArray<Pair> => {
  const describe = (key: string) => {
    const parameter = parameters.find(({ name }) => name.toLowerCase() === key.toLowerCase())
    const about = parameter?.description ?? parameter?.schema?.description
    return about === undefined ? {} : { description: about }
  }
  const names = new Set(Object.keys(given).map((key) => key.toLowerCase()))
  return [
    ...Object.entries(given).map(([key, value]) => ({ key, value, ...describe(key) })),
    ...parameters
      .filter(({ name }) => !names.has(name.toLowerCase()))
      .map(({ name }) => ({ key: name, value: "", ...describe(name), disabled: true as const }))
  ]
}

/** Postman's URL: `:id` is a path variable with a value of its own, the prefix a variable as a whole. */
const urlOf = (prefix: string, path: string, query: ReadonlyArray<Pair>, values: Readonly<Record<string, string>>) => {
  const used = query.filter(({ disabled }) => disabled === undefined).map(({ key, value }) => `${key}=${value}`)
  const variable = Object.entries(values).map(([key, value]) => ({ key, value }))
  return {
    raw: `${prefix}${path}${used.length === 0 ? "" : `?${used.join("&")}`}`,
    host: [prefix],
    ...(path === "" ? {} : { path: path.slice(1).split("/") }),
    ...(query.length === 0 ? {} : { query }),
    ...(variable.length === 0 ? {} : { variable })
  }
}

const bodyOf = (body: object | string | undefined) =>
  body === undefined
    ? {}
    : {
        body: {
          mode: "raw",
          raw: typeof body === "string" ? body : JSON.stringify(body, null, 2),
          options: { raw: { language: "json" } }
        }
      }

const contentType = (step: Call | Visit) =>
  step.body === undefined || Object.keys(step.headers ?? {}).some((name) => name.toLowerCase() === "content-type")
    ? {}
    : { "Content-Type": "application/json" }

export const requestOfCall = (step: Call, operation: Operation): PostmanRequest => {
  const { description, method, parameters, path, security, summary } = operation
  const of = (place: Parameter["in"]) => parameters.filter((each) => each.in === place)
  const words = [step.about, summary === undefined ? undefined : `**${summary}.** ${description ?? ""}`.trim()]
  return {
    method,
    description: [...words.filter((text) => text !== undefined), `\`${operation.operationId}\` of the API's document.`].join(
      "\n\n"
    ),
    ...authOf(step.as, security.length === 0),
    header: pairs({ ...contentType(step), ...step.headers }, of("header")),
    url: urlOf("{{baseUrl}}", path.replace(/\{(\w+)\}/g, ":$1"), pairs(step.query ?? {}, of("query")), step.path ?? {}),
    ...bodyOf(step.body)
  }
}

export const requestOfVisit = (step: Visit): PostmanRequest => {
  const form = Object.entries(step.form ?? {}).map(([key, value]) => ({ key, value }))
  const [prefix, path] = step.url.startsWith("/") ? ["{{baseUrl}}", step.url] : [step.url, ""]
  return {
    method: step.method,
    description: step.about,
    ...authOf(step.as, false),
    header: pairs({ ...contentType(step), ...step.headers }, []),
    url: urlOf(prefix, path, pairs(step.query ?? {}, []), {}),
    ...(form.length === 0 ? bodyOf(step.body) : { body: { mode: "urlencoded", urlencoded: form } })
  }
}

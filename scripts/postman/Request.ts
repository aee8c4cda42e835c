import type { Operation, Parameter } from "./OpenApi.ts"
import type { Details } from "./Entries.ts"

interface Pair {
  readonly key: string
  readonly value: string
  readonly description?: string | undefined
  readonly disabled?: true | undefined
}

const authOf = (as: Details["as"], security: Operation["security"]) => {
  const token = as ?? (security.length === 0 ? "none" : security.some((scheme) => "admin" in scheme) ? "adminToken" : "token")
  if (token === "none") return { auth: { type: "noauth" } }
  // Without `auth` a request inherits the collection's own, which sends `token`.
  return token === "token" ? {} : { auth: { type: "bearer", bearer: [{ key: "token", value: `{{${token}}}`, type: "string" }] } }
}

/** The given values, then the operation's other parameters, disabled. */
const pairs = (given: Readonly<Record<string, string>>, parameters: ReadonlyArray<Parameter>): ReadonlyArray<Pair> => {
  const describe = (key: string) => {
    const parameter = parameters.find(({ name }) => name === key)
    return parameter?.description ?? parameter?.schema?.description
  }
  return [
    ...Object.entries(given).map(([key, value]) => ({ key, value, description: describe(key) })),
    ...parameters
      .filter(({ name }) => given[name] === undefined)
      .map(({ name }) => ({ key: name, value: "", description: describe(name), disabled: true as const }))
  ]
}

/** The values of path parameters: by default those of the current chatroom and reply. */
export const pathOf = ({ path }: Details): Readonly<Record<string, string>> => ({ id: "{{roomId}}", mid: "{{replyId}}", ...path })

const urlOf = ({ parameters, path }: Operation, details: Details) => {
  const [host, rest] = path.startsWith("/") ? ["{{baseUrl}}", path.slice(1).replace(/\{(\w+)\}/g, ":$1")] : [path, ""]
  const query = pairs(
    details.query ?? {},
    parameters.filter((each) => each.in === "query")
  )
  const sent = Object.entries(details.query ?? {}).map(([key, value]) => `${key}=${value}`)
  return {
    raw: `${host}${rest === "" ? "" : `/${rest}`}${sent.length === 0 ? "" : `?${sent.join("&")}`}`,
    host: [host],
    path: rest === "" ? [] : rest.split("/"),
    query,
    variable: parameters.filter((each) => each.in === "path").map(({ name }) => ({ key: name, value: pathOf(details)[name] }))
  }
}

/** Postman's form of a request. Without a body in the table, the operation's example is sent. */
export const requestOf = (operation: Operation, details: Details) => {
  const { description, method, operationId, parameters, requestBody, security, summary } = operation
  const body = details.body ?? Object.values(requestBody?.content["application/json"]?.examples ?? {})[0]?.value
  const { file } = details
  const contentType =
    file === undefined ? (body === undefined ? {} : { "Content-Type": "application/json" }) : { "Content-Type": file.type }
  const words = [
    details.about,
    summary && `**${summary}.** ${description ?? ""}`.trim(),
    summary && `\`${operationId}\` of openapi.json.`
  ]
  return {
    method,
    description: words.filter((text) => text !== undefined).join("\n\n"),
    ...authOf(details.as, security),
    header: pairs(
      { ...contentType, ...details.headers },
      parameters.filter((each) => each.in === "header")
    ),
    url: urlOf(operation, details),
    ...(file !== undefined && { body: { mode: "file", file: { src: file.src } } }),
    ...(body !== undefined && {
      body: {
        mode: "raw",
        raw: typeof body === "string" ? body : JSON.stringify(body, null, 2),
        options: { raw: { language: "json" } }
      }
    })
  }
}

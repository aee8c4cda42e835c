import type { Exchange } from "./exchanges.ts"
import { baseUrl } from "./transport.ts"

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

const secretMember = /("(?:token|refreshToken|password|newPassword|currentPassword|signupToken)":\s*)"(?:[^"\\]|\\.)*"/g

/** A body without its secrets. */
export const shownBody = (text: string): string => text.replaceAll(secretMember, '$1"…"')

const header = ([name, value]: readonly [string, string]): string =>
  // In double quotes, so that the shell puts the token in.
  name === "authorization" ? '-H "authorization: Bearer $TOKEN"' : `-H ${quoted(`${name}: ${value}`)}`

/** The request as a command. It is complete but for the token. */
export const curlOf = ({
  body,
  file,
  headers,
  method,
  operation,
  path
}: Pick<Exchange, "body" | "file" | "headers" | "method" | "operation" | "path">): string => {
  const flags = operation.endsWith("/stream") ? "-sN" : operation.endsWith("/content") ? "-sLOJ" : "-si"
  const parts = [
    `curl ${flags}${method === "GET" ? "" : ` -X ${method}`} ${quoted(baseUrl + path)}`,
    ...Object.entries(headers).map(header),
    ...(file === undefined ? [] : [`--data-binary ${quoted(`@${file}`)}`]),
    ...(body === undefined ? [] : [`-d ${quoted(shownBody(body))}`])
  ]
  return parts.join(" \\\n  ")
}

import type { IncomingMessage } from "node:http"
import { invalid } from "./StripeError.ts"

/** A form's value: text, or a hash of values. An array is a hash whose keys are its indexes. */
export type FormValue = string | Form
export interface Form {
  [name: string]: FormValue
}

/** Clients choose the keys: without a prototype, `__proto__` is an ordinary key. */
const emptyForm = (): Form => Object.create(null)

/** `a=1&b[c]=2&d[0][e]=3&f[]=4` → `{ a: "1", b: { c: "2" }, d: { 0: { e: "3" } }, f: { 0: "4" } }` */
export const parseForm = (text: string): Form => {
  const form = emptyForm()
  for (const [name, value] of new URLSearchParams(text)) put(form, splitName(name), value)
  return form
}

const splitName = (name: string): Array<string> => {
  const [head = "", ...rest] = name.split("[")
  if (head === "" || rest.some((part) => !part.endsWith("]"))) throw invalid(`Invalid parameter name: ${name}`, name)
  return [head, ...rest.map((part) => part.slice(0, -1))]
}

const put = (form: Form, [head = "", ...rest]: ReadonlyArray<string>, value: FormValue) => {
  const key = head === "" ? String(Object.keys(form).length) : head
  if (rest.length === 0) {
    form[key] = value
    return
  }
  const inner = form[key]
  const next = typeof inner === "object" ? inner : emptyForm()
  form[key] = next
  put(next, rest, value)
}

/** JSON as the equivalent form, so that one set of readers serves both; null is the empty text. */
export const formOfJson = (value: unknown): FormValue => {
  if (value === null || value === undefined) return ""
  if (typeof value !== "object") return String(value)
  const form = emptyForm()
  for (const [name, inner] of Object.entries(value)) if (inner !== undefined) form[name] = formOfJson(inner)
  return form
}

export const readText = async (request: IncomingMessage): Promise<string> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** The text as a form, by the request's media type. */
export const parseBody = (text: string, mediaType = ""): Form => {
  if (!mediaType.startsWith("application/json")) return parseForm(text)
  const form = text === "" ? emptyForm() : formOfJson(parseJson(text))
  if (typeof form === "string") throw invalid("The body must be a JSON object.")
  return form
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    throw invalid("Invalid JSON.")
  }
}

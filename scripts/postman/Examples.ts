import { readFileSync } from "node:fs"
import type { Execution } from "./Newman.ts"

/** An answer that was really given, with what differs from run to run replaced by placeholders. */
export interface Example {
  readonly status: number
  readonly header: Readonly<Record<string, string>>
  readonly body: string
}

/** By the request's name. */
export type Examples = Readonly<Record<string, Example>>

export const examplesFile = new URL("examples.json", import.meta.url)

export const readExamples = (): Examples => JSON.parse(readFileSync(examplesFile, "utf8"))

/** Headers that tell people something, and are the same each time. */
const telling = [
  "allow",
  "content-disposition",
  "content-type",
  "etag",
  "idempotent-replayed",
  "link",
  "location",
  "ratelimit",
  "ratelimit-policy",
  "retry-after",
  "www-authenticate"
]

const members: Readonly<Record<string, unknown>> = {
  token: "<access token>",
  refreshToken: "<refresh token>",
  signupToken: "<signup token>",
  nextCursor: "<cursor>",
  otp: "123456"
}

/** Seconds until midnight, or until another code: neither is the same twice. */
const settledSeconds = (seconds: number) => (seconds > 60 ? 36_000 : 30)

const settle = (key: string, value: unknown): unknown => {
  if (key in members && typeof value === "string") return members[key]
  if (key === "byTask") return {}
  return key === "retryAfter" ? settledSeconds(Number(value)) : value
}

/** Each id gets the next number, and keeps it in all examples. */
const numbering = () => {
  const known = new Map<string, string>()
  return (id: string) => {
    const placeholder = known.get(id) ?? `01890000-0000-7000-8000-${String(known.size + 1).padStart(12, "0")}`
    known.set(id, placeholder)
    return placeholder
  }
}

const now = "2026-11-21T09:30:00.000Z"
const midnight = "T00:00:00.000Z"

const withPlaceholders = (baseUrl: string, idOf: (id: string) => string) => (text: string) =>
  text
    .replaceAll(`:${new URL(baseUrl).port}`, ":3000")
    .replace(/http:\/\/127\.0\.0\.1:(?!3000\b)\d+/g, "http://127.0.0.1:4242")
    .replace(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g, idOf)
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, (time) => (time.endsWith(midnight) ? `2026-11-22${midnight}` : now))
    .replace(/"\d{4}-\d\d-\d\d"/g, `"2026-11-21"`)
    .replace(/\+9198\d{8}/g, "+919876543210")
    .replace(/\b(cs_test|cus|bps|in|sub)_\w{8,}/g, "$1_simulated")

/** What only counts: its numbers are different every time, and so is what there is to count. */
const counters = /^(?:The queue|Metrics)$/

const bodyOf = (name: string, text: string, isJson: boolean) => {
  if (!isJson) return counters.test(name) ? text.replace(/^\w+\{.*\n/gm, "").replace(/ [\d.e+-]+$/gm, " 0") : text
  const settled = JSON.parse(text, settle)
  return JSON.stringify(settled, (_, value) => (counters.test(name) && typeof value === "number" && value < 400 ? 0 : value), 2)
}

/** Examples out of a run: of a request that was repeated, the last answer. */
export const examplesOf = (executions: ReadonlyArray<Execution>, baseUrl: string): Examples => {
  const place = withPlaceholders(baseUrl, numbering())
  const examples: Record<string, Example> = {}
  for (const { name, response } of executions) {
    const header: Record<string, string> = {}
    for (const { key, value } of response.header) {
      const known = key.toLowerCase()
      if (telling.includes(known)) header[known] = place(value)
    }
    if (header["etag"] !== undefined) header["etag"] = `"<version>"`
    if (header["link"] !== undefined) header["link"] = header["link"].replace(/cursor=[^&>]+/, "cursor=<cursor>")
    if (header["ratelimit"] !== undefined) header["ratelimit"] = header["ratelimit"].replace(/t=\d+/, "t=36000")
    const seconds = Number(header["retry-after"])
    if (seconds > 2) header["retry-after"] = String(settledSeconds(seconds))
    const isJson = response.body !== "" && header["content-type"]?.includes("json") === true
    examples[name] = { status: response.status, header, body: place(bodyOf(name, response.body, isJson)) }
  }
  return examples
}

import type { ApiError } from "@google/genai"
import { Option, Predicate, Schema } from "effect"

/**
 * Why a call failed, by what to do about it: wait for the model (`rate_limited`), give up for today (`daily_quota`),
 * try again (`unavailable`), try once more (`stopped`), or alert an operator (`misconfigured`).
 */
export class GeminiError extends Schema.TaggedError<GeminiError>()("GeminiError", {
  kind: Schema.Literals(["rate_limited", "daily_quota", "unavailable", "stopped", "misconfigured"]),
  /** For the log; never shown to a client. */
  detail: Schema.String,
  /** Of Google's answer, when there was one. */
  status: Schema.optional(Schema.Number),
  /** Milliseconds that Google asked us to wait. */
  retryAfter: Schema.optional(Schema.Number),
  /** Attempts after which to give up, when they are fewer than usual. */
  maximumAttempts: Schema.optional(Schema.Number),
  /** Google's name of the error: `API_KEY_INVALID` is a 400, too. */
  reason: Schema.optional(Schema.String),
  /** Whether the connection broke while the answer came. */
  isConnectionLost: Schema.optional(Schema.Boolean),
  /** Why the model stopped. */
  finishReason: Schema.optional(Schema.String)
}) {
  override get message() {
    return `${this.kind}: ${this.detail}`
  }
}

/** Whether Google does not take what is in the request. */
export const isRejected = ({ reason, status }: GeminiError): boolean => status === 400 && reason !== "API_KEY_INVALID"

const member = (value: unknown, name: string): unknown => (Predicate.hasProperty(value, name) ? value[name] : undefined)
const members = (value: unknown, name: string): ReadonlyArray<unknown> => {
  const list = member(value, name)
  return Array.isArray(list) ? list : []
}
const parse = Option.liftThrowable((text: string): unknown => JSON.parse(text))

/**
 * Google's status (https://google.aip.dev/193) in the message of an SDK error: preceded by some text when it came in
 * mid-stream, in a list of one (`[ … ]`) from some gateways, and inside the message of a second status when a stream was
 * refused. Read member by member, because an odd one must not hide the others.
 */
const statusOf = (message: string): unknown => {
  const json = parse(message.slice(Math.max(0, message.indexOf("{")), message.lastIndexOf("}") + 1))
  const status = member(Option.getOrUndefined(json), "error")
  if (!Predicate.isObject(status)) return undefined
  const text = member(status, "message")
  return (typeof text === "string" ? statusOf(text) : undefined) ?? status
}

/** Milliseconds that a reply waits at most because Google says so: then Google is asked again. */
const maximumDelay = 3_600_000

/** A protobuf Duration in JSON, `"12.5s"`, in milliseconds. */
const milliseconds = (duration: unknown): number | undefined => {
  const seconds = typeof duration === "string" ? /^(\d+(?:\.\d+)?)s$/.exec(duration)?.[1] : undefined
  return seconds === undefined ? undefined : Math.min(Math.ceil(Number(seconds) * 1000), maximumDelay)
}

const namesDailyQuota = (detail: unknown): boolean =>
  members(detail, "violations").some((violation) => String(member(violation, "quotaId")).includes("PerDay"))

/** 408 time-out, 409 conflict (ABORTED), 499 cancelled on the way. */
const transient = new Set([408, 409, 499])

const reasonOf = (detail: unknown): unknown => member(detail, "reason")

/** By its name, so that a process that asks no model does not load the SDK for its class. */
const isApiError = (cause: unknown): cause is ApiError =>
  cause instanceof Error && cause.name === "ApiError" && typeof member(cause, "status") === "number"

/** Classifies what the SDK threw. Anything but an answer of Google's is a failure of the network. */
export const fromUnknown = (cause: unknown): GeminiError => {
  if (!isApiError(cause)) {
    return new GeminiError({
      kind: "unavailable",
      detail: cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
    })
  }
  const status = statusOf(cause.message)
  const text = member(status, "message")
  const detail = `HTTP ${cause.status} ${typeof text === "string" ? text : ""}`.trim()
  const details = members(status, "details")
  const retryAfter = details.map((item) => milliseconds(member(item, "retryDelay"))).find((delay) => delay !== undefined)
  if (cause.status === 429) {
    return new GeminiError({ kind: details.some(namesDailyQuota) ? "daily_quota" : "rate_limited", detail, retryAfter })
  }
  // Every 5xx (also a proxy's HTML page) and these are transient; other statuses mean that our request or key is wrong.
  return cause.status >= 500 || transient.has(cause.status)
    ? new GeminiError({ kind: "unavailable", detail, retryAfter })
    : new GeminiError({
        kind: "misconfigured",
        detail,
        status: cause.status,
        reason: details.map(reasonOf).find(Predicate.isString)
      })
}

import { ApiError } from "@google/genai"
import { Option, Schema } from "effect"

/**
 * Why a call failed, by what to do about it: wait for the model (`rate_limited`), give up for today (`daily_quota`),
 * try again (`unavailable`), or alert an operator (`misconfigured`).
 */
export class GeminiError extends Schema.TaggedError<GeminiError>()("GeminiError", {
  kind: Schema.Literals(["rate_limited", "daily_quota", "unavailable", "misconfigured"]),
  /** For the log; never shown to a client. */
  detail: Schema.String,
  /** Milliseconds that Google asked us to wait. */
  retryAfter: Schema.optional(Schema.Number)
}) {
  override get message() {
    return `${this.kind}: ${this.detail}`
  }
}

/** google.rpc.Status as the REST API writes it: https://google.aip.dev/193 */
const Status = Schema.fromJsonString(
  Schema.Struct({
    error: Schema.Struct({
      message: Schema.optionalKey(Schema.String),
      details: Schema.optionalKey(
        Schema.Array(
          Schema.Struct({
            "@type": Schema.optionalKey(Schema.String),
            retryDelay: Schema.optionalKey(Schema.String),
            violations: Schema.optionalKey(Schema.Array(Schema.Struct({ quotaId: Schema.optionalKey(Schema.String) })))
          })
        )
      )
    })
  })
)
const decodeStatus = Schema.decodeUnknownOption(Status)

/**
 * Google's status in the message of an SDK error: preceded by some text when it came in mid-stream, in a list of one
 * (`[ … ]`) from some gateways, and wrapped in a second status when a stream was refused.
 */
const statusOf = (message: string): (typeof Status.Type)["error"] | undefined => {
  const status = Option.getOrUndefined(
    decodeStatus(message.slice(Math.max(0, message.indexOf("{")), message.lastIndexOf("}") + 1))
  )?.error
  return (status?.message?.startsWith("{") ? statusOf(status.message) : undefined) ?? status
}

/** A protobuf Duration in JSON, `"12.5s"`, in milliseconds. */
const milliseconds = (duration: string | undefined): number | undefined => {
  const seconds = /^(\d+(?:\.\d+)?)s$/.exec(duration ?? "")?.[1]
  return seconds === undefined ? undefined : Math.ceil(Number(seconds) * 1000)
}

/** 408 time-out, 409 conflict (ABORTED), 499 cancelled on the way. */
const transient = new Set([408, 409, 499])

/** Classifies what the SDK threw. Anything but an answer of Google's is a failure of the network. */
export const fromUnknown = (cause: unknown): GeminiError => {
  if (!(cause instanceof ApiError)) {
    return new GeminiError({
      kind: "unavailable",
      detail: cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
    })
  }
  const status = statusOf(cause.message)
  const detail = `HTTP ${cause.status} ${status?.message ?? ""}`.trim()
  const retryAfter = status?.details?.map(({ retryDelay }) => milliseconds(retryDelay)).find((delay) => delay !== undefined)
  if (cause.status === 429) {
    const perDay = status?.details?.some(({ violations }) => violations?.some(({ quotaId }) => quotaId?.includes("PerDay")))
    return new GeminiError({ kind: perDay === true ? "daily_quota" : "rate_limited", detail, retryAfter })
  }
  // Every 5xx (also a proxy's HTML page) and these are transient; other statuses mean that our request or key is wrong.
  return cause.status >= 500 || transient.has(cause.status)
    ? new GeminiError({ kind: "unavailable", detail, retryAfter })
    : new GeminiError({ kind: "misconfigured", detail })
}

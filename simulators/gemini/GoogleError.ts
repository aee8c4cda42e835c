/** Google's name for an HTTP status: https://google.aip.dev/193 and google/rpc/code.proto. */
const STATUS_WORDS: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED"
}

const MESSAGES: Readonly<Record<number, string>> = {
  400: "Request contains an invalid argument.",
  403: "The caller does not have permission",
  404: "Requested entity was not found.",
  429: "You exceeded your current quota, please check your plan and billing details.",
  500: "An internal error has occurred. Please retry.",
  503: "The model is overloaded. Please try again later.",
  504: "Deadline expired before operation could complete."
}

/** An error response of Google's; thrown where a request is found to be invalid. */
export class GoogleError extends Error {
  readonly status: number
  readonly details: ReadonlyArray<object>

  constructor(status: number, message = MESSAGES[status] ?? "Unknown error.", details: ReadonlyArray<object> = []) {
    super(message)
    this.status = status
    this.details = details
  }

  /** `{ error: { code, message, status, details? } }` */
  toJSON() {
    const { details, message, status } = this
    const word = STATUS_WORDS[status] ?? "UNKNOWN"
    return { error: { code: status, message, status: word, ...(details.length > 0 ? { details } : {}) } }
  }
}

export const invalid = (message: string) => new GoogleError(400, message)

export const missingApiKey = () =>
  new GoogleError(
    403,
    "Method doesn't allow unregistered callers (callers without established identity). " +
      "Please use API Key or other form of API consumer identity to call this API."
  )

export const invalidApiKey = () =>
  new GoogleError(400, "API key not valid. Please pass a valid API key.", [
    {
      "@type": "type.googleapis.com/google.rpc.ErrorInfo",
      reason: "API_KEY_INVALID",
      domain: "googleapis.com",
      metadata: { service: "generativelanguage.googleapis.com" }
    }
  ])

export const unknownModel = (model: string, version: string) =>
  new GoogleError(
    404,
    `models/${model} is not found for API version ${version}, or is not supported for generateContent. ` +
      "Call ListModels to see the list of available models and their supported methods."
  )

/** A 429 names its quota (QuotaFailure). Only `PerDay` in the quotaId distinguishes a daily quota. */
const quotaFailure = (model: string, perDay: boolean) => ({
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations: [
    {
      quotaMetric: "generativelanguage.googleapis.com/generate_content_free_tier_requests",
      quotaId: `GenerateRequestsPer${perDay ? "Day" : "Minute"}PerProjectPerModel-FreeTier`,
      quotaDimensions: { location: "global", model },
      quotaValue: perDay ? "250" : "10"
    }
  ]
})

/** The error response of a `status` fault. */
export const faultError = (
  model: string,
  status: number,
  { perDay = false, retryDelaySeconds }: { perDay?: boolean | undefined; retryDelaySeconds?: number | undefined } = {}
) =>
  new GoogleError(status, undefined, [
    ...(status === 429 ? [quotaFailure(model, perDay)] : []),
    ...(retryDelaySeconds === undefined
      ? []
      : [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `${retryDelaySeconds}s` }])
  ])

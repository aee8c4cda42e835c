/** https://docs.stripe.com/api/errors */
export type ErrorType = "api_error" | "card_error" | "idempotency_error" | "invalid_request_error"

interface ErrorDetails {
  readonly type?: ErrorType | undefined
  /** https://docs.stripe.com/error-codes */
  readonly code?: string | undefined
  /** The name of the wrong parameter, as in the form: `line_items[0][price]`. */
  readonly param?: string | undefined
  readonly decline_code?: string | undefined
}

/** An error answer of Stripe's; thrown where a request is found wrong. */
export class StripeError extends Error {
  readonly status: number
  readonly details: ErrorDetails

  constructor(status: number, message: string, details: ErrorDetails = {}) {
    super(message)
    this.status = status
    this.details = details
  }

  /** `{ error: { type, message, code?, param?, … } }` */
  envelope(requestId: string) {
    const { type = "invalid_request_error", code, param, decline_code } = this.details
    return {
      error: {
        ...(code && { code, doc_url: `https://stripe.com/docs/error-codes/${code.replaceAll("_", "-")}` }),
        ...(decline_code && { decline_code }),
        message: this.message,
        ...(param && { param }),
        request_log_url: `https://dashboard.stripe.com/test/logs/${requestId}`,
        type
      }
    }
  }
}

export const invalid = (message: string, param?: string, code?: string) => new StripeError(400, message, { code, param })

export const missingParameter = (param: string) => invalid(`Missing required param: ${param}.`, param, "parameter_missing")

export const unknownParameter = (param: string) => invalid(`Received unknown parameter: ${param}`, param, "parameter_unknown")

/** 404 for an object in the path, 400 for one in a parameter; the code is the same. */
export const missingResource = (kind: string, id: string, param = "id", status = 404) =>
  new StripeError(status, `No such ${kind}: '${id}'`, { code: "resource_missing", param })

export const unknownRoute = (method: string, path: string) =>
  new StripeError(
    404,
    `Unrecognized request URL (${method}: ${path}). Please see https://stripe.com/docs or we can help at https://support.stripe.com/.`
  )

export const missingApiKey = () =>
  new StripeError(
    401,
    "You did not provide an API key. You need to provide your API key in the Authorization header, " +
      "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
  )

export const invalidApiKey = (key: string) => new StripeError(401, `Invalid API Key provided: ${maskKey(key)}`)

/** A key that is safe to show: `sk_test_****last`. */
export const maskKey = (key: string) => key.replace(/^((?:sk_(?:test|live)_)?).*?(.{0,4})$/, "$1****$2")

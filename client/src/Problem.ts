import type { ProblemCode } from "./contract.ts"

/** What is wrong with which field of a request. */
export interface FieldError {
  /** A JSON Pointer into the body, or `query.x`, `params.x`, `headers.x`. */
  readonly path: string
  readonly message: string
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

/** Seconds of a `Retry-After`, which a proxy may also write as a date. */
const secondsOf = (header: string | null): number | undefined => {
  if (header === null) return undefined
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1_000
  return Number.isNaN(seconds) ? undefined : Math.max(0, seconds)
}

/** A refusal of the server (RFC 9457): programs branch on `code`, people read `detail`. */
export class Problem extends Error {
  override readonly name = "Problem"
  readonly status: number
  /** `unknown` when the response is not one of the API's, but that of a proxy. */
  readonly code: ProblemCode | "unknown" | (string & {})
  readonly detail: string
  /** Seconds to wait before a retry. */
  readonly retryAfter: number | undefined
  /** What support needs to find the request in the server's log. */
  readonly requestId: string | undefined
  /** Every invalid field, for `validation_failed`. */
  readonly errors: ReadonlyArray<FieldError>
  /** Where the plan can be changed, if the plan is the reason. */
  readonly upgradeUrl: string | undefined
  /** All members of the body, among them those of this `code` alone. */
  readonly body: Readonly<Record<string, unknown>>

  constructor(status: number, body: unknown, headers: Pick<Headers, "get"> = new Headers()) {
    const members: Partial<Record<string, unknown>> = Object.assign({}, typeof body === "string" ? undefined : body)
    const { code, detail, errors, requestId, retryAfter, upgradeUrl } = members
    super(textOf(detail) ?? `The server answered ${status}`)
    this.status = status
    this.code = textOf(code) ?? "unknown"
    this.detail = this.message
    this.retryAfter = typeof retryAfter === "number" ? retryAfter : secondsOf(headers.get("retry-after"))
    this.requestId = textOf(requestId) ?? headers.get("x-request-id") ?? undefined
    this.errors = Array.isArray(errors) ? errors : []
    this.upgradeUrl = textOf(upgradeUrl)
    this.body = members
  }
}

/** No response: the network or the server is away. Whether the server got the request is unknown. */
export class Unreachable extends Error {
  override readonly name = "Unreachable"

  constructor(cause?: unknown) {
    super("The server cannot be reached", { cause })
  }
}

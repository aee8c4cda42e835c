/** A refusal of the server (RFC 9457): clients branch on `code`, people read `detail`. */
export class Problem extends Error {
  readonly status: number
  readonly code: string
  /** Seconds to wait before a retry. */
  readonly retryAfter: number | undefined
  /** What is wrong with which field. */
  readonly errors: ReadonlyArray<{ readonly path: string; readonly message: string }>
  readonly requestId: string | undefined
  /** Where the plan can be changed, for a refusal that the plan is the reason of. */
  readonly upgradeUrl: string | undefined

  constructor(status: number, body: unknown) {
    const fields: Partial<Record<string, unknown>> = Object.assign({}, body)
    const { code, detail, errors, requestId, retryAfter, upgradeUrl } = fields
    super(typeof detail === "string" ? detail : `The server answered ${status}`)
    this.status = status
    this.code = typeof code === "string" ? code : "unknown"
    this.retryAfter = typeof retryAfter === "number" ? retryAfter : undefined
    this.requestId = typeof requestId === "string" ? requestId : undefined
    this.upgradeUrl = typeof upgradeUrl === "string" ? upgradeUrl : undefined
    this.errors = Array.isArray(errors) ? errors : []
  }
}

/** No answer: the network or the server is away. */
export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached")
  }
}

/** What went wrong, for people. */
export const messageOf = (error: unknown): string => {
  if (!(error instanceof Problem)) return error instanceof Error ? error.message : String(error)
  const [first] = error.errors
  return first === undefined ? error.message : `${first.path.replace(/^\//, "")}: ${first.message}`
}

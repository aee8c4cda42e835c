/** What the receiver answered to one POST. */
export interface Receipt {
  /** null when no answer came. */
  readonly status: number | null
  /** Why none came. */
  readonly error: string | null
  /** The beginning of the answer's body. */
  readonly response: string
}

const RESPONSE_CHARS = 1000

/** POSTs a webhook as Stripe does: redirects are not followed and count as failures. */
export const post = async (url: string, body: string, signature: string | null, timeoutMillis: number): Promise<Receipt> => {
  try {
    const response = await fetch(url, {
      method: "POST",
      body,
      headers: {
        "content-type": "application/json; charset=utf-8",
        "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        ...(signature !== null && { "stripe-signature": signature })
      },
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMillis)
    })
    return { status: response.status, error: null, response: (await response.text()).slice(0, RESPONSE_CHARS) }
  } catch (error) {
    return { status: null, error: readFailure(error), response: "" }
  }
}

export const isAccepted = ({ status }: Receipt) => status !== null && status >= 200 && status < 300

/** `fetch` hides the reason in the cause. */
const readFailure = (error: unknown): string => {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  return cause instanceof Error ? cause.message : String(cause)
}

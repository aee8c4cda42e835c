/** The receiver's answer to one POST. */
export interface Receipt {
  /** Null without an answer. */
  readonly status: number | null
  /** Why there is no answer. */
  readonly error: string | null
  /** The start of the answer's body. */
  readonly response: string
}

const responseLength = 1000

/** POSTs a webhook like Stripe: redirects are not followed and count as failures. */
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
    return { status: response.status, error: null, response: (await response.text()).slice(0, responseLength) }
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

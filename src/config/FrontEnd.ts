/** Where people who come from Stripe, or meet a limit, find a page. */
export interface FrontEnd {
  /** Where a paid checkout leads. Stripe fills in the session's id. */
  readonly afterCheckout: string
  readonly afterCancelledCheckout: string
  readonly afterPortal: string
  readonly upgrade: string
  /** The page for a person who is back from the checkout, up to the session's id; undefined when there is no front end. */
  readonly afterReturn: string | undefined
}

const sessionId = "{CHECKOUT_SESSION_ID}"

/** The pages of the front end at this URL, or what the API itself has. Both URLs have no trailing slash. Plans begin at the lowest. */
export const frontEndAt = (page: string | undefined, appUrl: string, lowestPlan: string): FrontEnd => {
  const afterCheckout = `${appUrl}/billing/return?session_id=${sessionId}`
  if (page === undefined) {
    const start = `${appUrl}/`
    const upgrade = `${appUrl}/subscribe/${lowestPlan}`
    return { afterCheckout, afterCancelledCheckout: start, afterPortal: start, upgrade, afterReturn: undefined }
  }
  return {
    afterCheckout,
    afterCancelledCheckout: `${page}/?billing=cancelled`,
    afterPortal: `${page}/?billing=portal`,
    upgrade: `${page}/#upgrade`,
    afterReturn: `${page}/?billing=success&session_id=`
  }
}

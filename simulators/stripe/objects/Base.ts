import { randomBytes } from "node:crypto"

/** What every object takes from the account that makes it. */
export interface Birth {
  /** Seconds since 1970 of the simulated clock. */
  readonly created: number
  readonly livemode: boolean
  /** Where the simulator serves its pages. */
  readonly url: string
}

/** `cus_` and 24 characters, as Stripe's: never the same twice, not even after a restore. */
export const makeId = (prefix: string) => `${prefix}_${randomBytes(18).toString("base64url").replaceAll(/[-_]/g, "0")}`

/** A list that is part of an object. */
export const sublist = <T>(url: string, data: Array<T>) => ({ object: "list", data, has_more: false, url })

/** A field of which Stripe says little more than that it is off. */
export const automaticTaxOff = () => ({ disabled_reason: null, enabled: false, liability: null, provider: null, status: null })

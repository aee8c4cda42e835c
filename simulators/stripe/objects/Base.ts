import { randomBytes } from "node:crypto"

export const daySeconds = 86_400

/** What the account gives to every object that it creates. */
export interface Birth {
  /** Seconds since 1970 of the simulated clock. */
  readonly created: number
  readonly livemode: boolean
  /** The base URL of the simulator's pages. */
  readonly url: string
}

/** `cus_` and 24 random characters, so an id is unique even after a restore. */
export const makeId = (prefix: string) => `${prefix}_${randomBytes(18).toString("base64url").replaceAll(/[-_]/g, "0")}`

/** A list that is part of an object. */
export const sublist = <T>(url: string, data: Array<T>) => ({ object: "list", data, has_more: false, url })

/** The `automatic_tax` of an object without automatic tax. */
export const automaticTaxOff = () => ({ disabled_reason: null, enabled: false, liability: null, provider: null, status: null })

/** The initial value of a field, with the type of every value that it can have later. */
export const initially = <T>(value: T): T => value

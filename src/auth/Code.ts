import type { Mobile } from "../api/auth/Mobile.ts"

export type Purpose = "login" | "reset_password"

/** A one-time code on its way to its number. */
export interface Code {
  readonly mobile: Mobile
  readonly otp: string
  readonly purpose: Purpose
  /** Seconds it lives. */
  readonly expiresIn: number
  readonly challengeId: string
}

/** What the MAC of a code covers. */
export const macInput = (mobile: Mobile, purpose: Purpose, otp: string) => `${purpose}\u0000${mobile}\u0000${otp}`

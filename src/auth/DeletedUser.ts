import { Predicate } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { Unauthenticated } from "../api/auth/AuthErrors.ts"

/**
 * The problem of a request whose user was deleted while it ran: Postgres refuses a row of a user that no longer exists
 * (SQLSTATE 23503), and a moment later the session itself would have been refused. Undefined for any other failure.
 */
export const problemOfDeletedUser = ({ reason: { cause } }: SqlError): Unauthenticated | undefined => {
  const isOrphan =
    Predicate.hasProperty(cause, "code") &&
    cause.code === "23503" &&
    Predicate.hasProperty(cause, "constraint") &&
    String(cause.constraint).endsWith("_user_id_fkey")
  return isOrphan ? Unauthenticated.because("session_revoked") : undefined
}

import { Schema } from "effect"
import { ada, times } from "../Examples.ts"
import { text, Timestamp, Uuid } from "../Schemas.ts"
import { E164Text } from "./Mobile.ts"

export const UserId = Uuid.pipe(Schema.brand("UserId"))
export type UserId = typeof UserId.Type
export const SessionId = Uuid.pipe(Schema.brand("SessionId"))
export type SessionId = typeof SessionId.Type

export const Tier = Schema.String.annotate({
  description: "`basic`, or the id of a plan: `pro` unless the server sells other plans (`GET /plans`)."
})
export type Tier = typeof Tier.Type

export const Name = text(1, 100)
export const Email = Schema.String.check(
  Schema.isMaxLength(254),
  Schema.isPattern(/^[\w.!#$%&'*+/=?^`{|}~-]+@[A-Za-z\d-]+(?:\.[A-Za-z\d-]+)+$/u, { message: "must be an e-mail address" })
)

/** The session and user of a request, as read when it began. */
export interface CurrentSession {
  readonly userId: UserId
  readonly sessionId: SessionId
  readonly mobile: string
  readonly name: string | null
  readonly email: string | null
  readonly tier: Tier
  readonly hasPassword: boolean
  readonly quotaKey: string
  readonly createdAt: Date
  /** When the session began. */
  readonly loggedInAt: Date
  /** Started by a `reset_password` code: it can only set a new password. */
  readonly isRecovery: boolean
  /** An API key, whose id is `sessionId`: it may call the endpoints with `AllowsKey`. */
  readonly isKey: boolean
}

const UserStatus = Schema.Literals(["pending", "active"]).annotate({
  description: "`pending` until a code confirms the number."
})

export const profile = {
  id: UserId,
  mobile: E164Text,
  name: Schema.NullOr(Schema.String),
  email: Schema.NullOr(Schema.String),
  status: UserStatus,
  createdAt: Timestamp
}
export const exampleUser = {
  id: UserId.make(ada.id),
  mobile: ada.mobile,
  name: ada.name,
  email: ada.email,
  status: "active" as const,
  createdAt: times.signedUp
}

export const User = Schema.Struct(profile).annotate({ identifier: "User", description: "A user." })
export type User = typeof User.Type

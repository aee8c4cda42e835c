import { Schema } from "effect"
import { text, Timestamp, Uuid } from "../Text.ts"

export const UserId = Uuid.pipe(Schema.brand("UserId"))
export type UserId = typeof UserId.Type
export const SessionId = Uuid.pipe(Schema.brand("SessionId"))
export type SessionId = typeof SessionId.Type

export const Tier = Schema.Literals(["basic", "pro"])
export type Tier = typeof Tier.Type

export const Name = text(1, 100)
export const Email = Schema.String.check(
  Schema.isMaxLength(254),
  Schema.isPattern(/^[\w.!#$%&'*+/=?^`{|}~-]+@[A-Za-z\d-]+(?:\.[A-Za-z\d-]+)+$/u, { message: "must be an e-mail address" })
)

/** Who is logged in, as the database said when this request began. */
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
  /** When this session began. */
  readonly loggedInAt: Date
  /** Of a forgotten password: good for setting a new one and nothing else. */
  readonly isRecovery: boolean
}

export const User = Schema.Struct({
  id: UserId,
  mobile: Schema.String,
  name: Schema.NullOr(Schema.String),
  email: Schema.NullOr(Schema.String),
  status: Schema.Literals(["pending", "active"]),
  createdAt: Timestamp
}).annotate({ identifier: "User" })
export type User = typeof User.Type

/** Prompts of the current UTC day. `limit` and `remaining` are null when unlimited. */
export const QuotaState = Schema.Struct({
  limit: Schema.NullOr(Schema.Int),
  used: Schema.Int,
  remaining: Schema.NullOr(Schema.Int),
  resetsAt: Timestamp
}).annotate({ identifier: "Quota" })
export type QuotaState = typeof QuotaState.Type

export const DayOfUsage = Schema.Struct({
  day: Schema.String.annotate({ format: "date", examples: ["2026-11-21"] }),
  prompts: Schema.Int,
  promptTokens: Schema.Int,
  replyTokens: Schema.Int
}).annotate({ identifier: "DayOfUsage" })
export type DayOfUsage = typeof DayOfUsage.Type

export const Me = Schema.Struct({
  id: UserId,
  mobile: Schema.String,
  name: Schema.NullOr(Schema.String),
  email: Schema.NullOr(Schema.String),
  status: Schema.Literals(["pending", "active"]),
  tier: Tier,
  hasPassword: Schema.Boolean,
  createdAt: Timestamp,
  quota: QuotaState
}).annotate({ identifier: "Me" })

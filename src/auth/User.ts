import { Schema } from "effect"
import { ada, times } from "../Examples.ts"
import { Count, text, Timestamp, Uuid } from "../Text.ts"
import { E164Text } from "./Mobile.ts"

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

const UserStatus = Schema.Literals(["pending", "active"]).annotate({
  description: "`pending` until the number is proved by a code."
})

const profile = {
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

export const QuotaState = Schema.Struct({
  limit: Schema.NullOr(Count).annotate({ description: "Null when unlimited." }),
  used: Count,
  remaining: Schema.NullOr(Count).annotate({ description: "Null when unlimited." }),
  resetsAt: Timestamp
}).annotate({ identifier: "Quota", description: "Prompts of the current UTC day." })
export type QuotaState = typeof QuotaState.Type
export const exampleQuota = { limit: 5, used: 1, remaining: 4, resetsAt: times.midnight }

export const DayOfUsage = Schema.Struct({
  day: Schema.String.annotate({ format: "date" }),
  prompts: Count,
  promptTokens: Count,
  replyTokens: Count
}).annotate({ identifier: "DayOfUsage", description: "A UTC day on which something was asked." })
export type DayOfUsage = typeof DayOfUsage.Type
export const exampleDay = { day: "2026-11-21", prompts: 1, promptTokens: 12, replyTokens: 31 }

export const Me = Schema.Struct({ ...profile, tier: Tier, hasPassword: Schema.Boolean, quota: QuotaState }).annotate({
  identifier: "Me",
  description: "The one who is logged in.",
  examples: [{ ...exampleUser, tier: "basic", hasPassword: true, quota: exampleQuota }]
})

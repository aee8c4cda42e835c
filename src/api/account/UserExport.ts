import { Schema, Struct } from "effect"
import { ChatroomExport, exampleExport } from "../chat/ChatroomWithMessages.ts"
import { ChatroomId } from "../chat/Chatroom.ts"
import { RoomSummary } from "../chat/RoomSummary.ts"
import { ada, ids, times } from "../Examples.ts"
import { exampleFile, File } from "../files/File.ts"
import { Timestamp } from "../Schemas.ts"
import { E164Text } from "../auth/Mobile.ts"
import { SessionId, Tier, UserId } from "../auth/User.ts"
import { ApiKey, exampleApiKey } from "../auth/ApiKeysApi.ts"
import { exampleShare, Share } from "../shares/Share.ts"
import { DayOfUsage, exampleDay } from "./Usage.ts"

const Profile = Schema.Struct({
  id: UserId,
  mobile: E164Text,
  name: Schema.NullOr(Schema.String),
  email: Schema.NullOr(Schema.String),
  tier: Tier,
  createdAt: Timestamp
}).annotate({ identifier: "ExportedProfile" })

const KeptSession = Schema.Struct({
  id: SessionId,
  userAgent: Schema.NullOr(Schema.String),
  createdAt: Timestamp,
  lastUsedAt: Timestamp,
  revokedAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "ExportedSession" })

/** Recorded events of an account. */
export const AuthEventKind = Schema.Literals([
  "login",
  "recovery",
  "password_login",
  "refresh_reused",
  "logout",
  "session_revoked",
  "password_changed",
  "password_reset",
  "profile_changed"
])
export type AuthEventKind = typeof AuthEventKind.Type

const KeptEvent = Schema.Struct({
  kind: AuthEventKind,
  sessionId: Schema.NullOr(SessionId),
  address: Schema.NullOr(Schema.String),
  userAgent: Schema.NullOr(Schema.String),
  at: Timestamp
}).annotate({ identifier: "ExportedEvent" })

const KeptSubscription = Schema.Struct({
  id: Schema.String,
  plan: Schema.NullOr(Schema.String),
  status: Schema.String,
  trialEnd: Schema.NullOr(Timestamp),
  currentPeriodStart: Schema.NullOr(Timestamp),
  currentPeriodEnd: Schema.NullOr(Timestamp),
  cancelAt: Schema.NullOr(Timestamp),
  createdAt: Timestamp
}).annotate({ identifier: "ExportedSubscription" })

const KeptShare = Schema.Struct({ ...Share.fields, revokedAt: Schema.NullOr(Timestamp) }).annotate({
  identifier: "ExportedShare"
})

const KeptFile = Schema.Struct({
  ...Struct.pick(File.fields, ["id", "name", "type", "bytes", "sha256", "createdAt"]),
  content: Schema.String.annotate({ description: "The path of its bytes.", examples: [`/files/${ids.file}/content`] })
}).annotate({ identifier: "ExportedFile" })

const KeptSummary = Schema.Struct({ chatroomId: ChatroomId, ...RoomSummary.fields }).annotate({ identifier: "ExportedSummary" })

/** Everything stored about a user: the body of `GET /user/me/export`, which is streamed. */
export const UserExport = Schema.Struct({
  user: Profile,
  sessions: Schema.Array(KeptSession),
  apiKeys: Schema.Array(ApiKey.annotate({ identifier: "ExportedApiKey" })),
  authEvents: Schema.Array(KeptEvent),
  shares: Schema.Array(KeptShare),
  subscriptions: Schema.Array(KeptSubscription),
  usage: Schema.Array(DayOfUsage),
  files: Schema.Array(KeptFile),
  summaries: Schema.Array(KeptSummary),
  chatrooms: Schema.Array(ChatroomExport)
}).annotate({
  identifier: "UserExport",
  description: "Everything stored about the user, each room with all its messages.",
  examples: [
    {
      user: {
        id: UserId.make(ada.id),
        mobile: ada.mobile,
        name: ada.name,
        email: ada.email,
        tier: "basic",
        createdAt: times.signedUp
      },
      sessions: [
        {
          id: SessionId.make(ids.session),
          userAgent: ada.userAgent,
          createdAt: times.loggedIn,
          lastUsedAt: times.asked,
          revokedAt: null
        }
      ],
      apiKeys: [exampleApiKey],
      authEvents: [
        {
          kind: "login",
          sessionId: SessionId.make(ids.session),
          address: "203.0.113.7",
          userAgent: ada.userAgent,
          at: times.loggedIn
        }
      ],
      shares: [{ ...exampleShare, revokedAt: null }],
      subscriptions: [],
      usage: [exampleDay],
      files: [
        {
          ...Struct.pick(exampleFile, ["id", "name", "type", "bytes", "sha256", "createdAt"]),
          content: `/files/${exampleFile.id}/content`
        }
      ],
      summaries: [],
      chatrooms: [exampleExport]
    }
  ]
})

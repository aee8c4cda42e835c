import { Effect, Layer } from "effect"
import { Accounts } from "./auth/Accounts.ts"
import { AddressLimits } from "./auth/AddressLimits.ts"
import { AuthEvents } from "./auth/AuthEvents.ts"
import { CodeSender } from "./auth/CodeSender.ts"
import { Keys } from "./keys/Keys.ts"
import { Otp } from "./auth/Otp.ts"
import { Passwords } from "./auth/Passwords.ts"
import { Sessions } from "./auth/Sessions.ts"
import { Throttle } from "./auth/Throttle.ts"
import { Tokens } from "./auth/Tokens.ts"
import { UserData } from "./account/UserData.ts"
import { Users } from "./auth/Users.ts"
import { Chatrooms } from "./chat/Chatrooms.ts"
import { makeBillingTasks } from "./billing/BillingTasks.ts"
import { Checkout } from "./billing/Checkout.ts"
import { Customers } from "./billing/Customers.ts"
import { Holds } from "./billing/Holds.ts"
import { Membership } from "./billing/Membership.ts"
import { Reconciliation } from "./billing/Reconciliation.ts"
import { Stripe } from "./billing/Stripe.ts"
import { Subscriptions } from "./billing/Subscriptions.ts"
import { Sync } from "./billing/Sync.ts"
import { Webhook } from "./billing/Webhook.ts"
import { Cancellation } from "./replies/Cancellation.ts"
import { ChatroomList } from "./chat/ChatroomList.ts"
import { Messages } from "./chat/Messages.ts"
import { Quota } from "./chat/Quota.ts"
import { RoomExport } from "./chat/RoomExport.ts"
import { Search } from "./chat/Search.ts"
import { Sending } from "./chat/Sending.ts"
import { AppConfig } from "./config/Settings.ts"
import { DatabaseLayer } from "./database/Database.ts"
import { Notifications } from "./database/Notifications.ts"
import { ContextReceipts } from "./replies/ContextReceipts.ts"
import { Conversation } from "./replies/Conversation.ts"
import { Gemini } from "./gemini/Gemini.ts"
import { Leases } from "./replies/Leases.ts"
import { RateLimitPause } from "./replies/RateLimitPause.ts"
import { Replies } from "./replies/Replies.ts"
import { ReplyStore } from "./replies/ReplyStore.ts"
import { makeReplyTask } from "./replies/ReplyTask.ts"
import { Admission } from "./server/Admission.ts"
import { Cursors } from "./http/Cursors.ts"
import { Idempotency } from "./http/Idempotency.ts"
import { ServerLayer } from "./server/Server.ts"
import { DrainFirst, Draining } from "./ops/Draining.ts"
import { LoggingLayer } from "./ops/Logging.ts"
import { TelemetryLayer } from "./ops/Telemetry.ts"
import { Announcer } from "./queue/Announcer.ts"
import { QueueState } from "./queue/QueueState.ts"
import { ReaperLayer } from "./replies/Reaper.ts"
import { Tasks } from "./queue/Tasks.ts"
import { WorkerHealth, WorkerLayer } from "./queue/Worker.ts"
import { ReplyStream } from "./stream/ReplyStream.ts"
import { DeltaLog } from "./stream/DeltaLog.ts"

const AuthLayer = Accounts.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(Tokens.layer, Users.layer, Sessions.layer, Otp.layer, AuthEvents.layer, Passwords.layer, AddressLimits.layer)
  ),
  Layer.provideMerge(Layer.mergeAll(Keys.layer, Throttle.layer, CodeSender.layer))
)
const ChatLayer = Layer.mergeAll(ChatroomList.layer, Sending.layer, Cancellation.layer, RoomExport.layer, Search.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(Chatrooms.layer, Messages.layer, Quota.layer))
)
const GeminiLayer = Layer.mergeAll(Replies.layer, ContextReceipts.layer).pipe(
  Layer.provide([ReplyStore.layer, Conversation.layer, Leases.layer, RateLimitPause.layer]),
  Layer.provide(Gemini.layer)
)
const BillingLayer = Reconciliation.layer.pipe(
  Layer.provideMerge(Membership.layer),
  Layer.provideMerge(Checkout.layer),
  Layer.provideMerge(Sync.layer),
  Layer.provideMerge(Layer.mergeAll(Customers.layer, Holds.layer, Subscriptions.layer, Webhook.layer)),
  Layer.provideMerge(Stripe.layer),
  Layer.provide(Quota.layer)
)
const StreamLayer = ReplyStream.layer.pipe(Layer.provide(ChatLayer))
const UserDataLayer = UserData.layer.pipe(Layer.provide(ChatLayer))
const HttpServices = Layer.mergeAll(Admission.layer, Cursors.layer, Idempotency.layer, QueueState.layer).pipe(
  Layer.provide(Keys.layer)
)
const QueueLayer = Announcer.layer.pipe(Layer.provideMerge(Notifications.layer))

/** What the worker can do. */
const TasksLayer = Layer.effect(
  Tasks,
  Effect.map(Effect.all([makeReplyTask, makeBillingTasks]), ([reply, billing]) => [reply, ...billing])
)
const WorkLayer = WorkerLayer.pipe(Layer.provide(TasksLayer))

/** What this process does: the API, the worker, or both. Only one with an API listens. */
const RoleLayer = Layer.unwrap(
  Effect.gen(function* () {
    const { role } = yield* AppConfig
    if (role === "worker") return Layer.effectDiscard(Effect.logInfo("Working")).pipe(Layer.provide(WorkLayer))
    return DrainFirst.pipe(Layer.provideMerge(ServerLayer), Layer.provide(role === "api" ? WorkerHealth.layerNone : WorkLayer))
  })
).pipe(Layer.merge(ReaperLayer))

/** The product, on a configuration. */
export const AppLayer = RoleLayer.pipe(
  Layer.provide([AuthLayer, ChatLayer, GeminiLayer, BillingLayer, StreamLayer, UserDataLayer, HttpServices]),
  Layer.provide([QueueLayer, DeltaLog.layer]),
  Layer.provide([DatabaseLayer, Draining.layer]),
  Layer.provide([LoggingLayer, TelemetryLayer])
)

import { Effect, Layer } from "effect"
import { Accounts } from "./auth/Accounts.ts"
import { AddressLimits } from "./auth/AddressLimits.ts"
import { AuthEvents } from "./auth/AuthEvents.ts"
import { makeAuthTasks } from "./auth/AuthTasks.ts"
import { CodeSender } from "./auth/CodeSender.ts"
import { Keys } from "./auth/Keys.ts"
import { Otp } from "./auth/Otp.ts"
import { Passwords } from "./auth/Passwords.ts"
import { Sessions } from "./auth/Sessions.ts"
import { Throttle } from "./auth/Throttle.ts"
import { Tokens } from "./auth/Tokens.ts"
import { UserData } from "./auth/UserData.ts"
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
import { Cancellation } from "./chat/Cancellation.ts"
import { ChatroomList } from "./chat/ChatroomList.ts"
import { makeChatTasks } from "./chat/ChatTasks.ts"
import { Messages } from "./chat/Messages.ts"
import { Quota } from "./chat/Quota.ts"
import { RoomExport } from "./chat/RoomExport.ts"
import { Search } from "./chat/Search.ts"
import { Sending } from "./chat/Sending.ts"
import { AppConfig } from "./Config.ts"
import { DatabaseLayer } from "./database/Database.ts"
import { Notifications } from "./database/Notifications.ts"
import { ContextReceipts } from "./gemini/ContextReceipts.ts"
import { Conversation } from "./gemini/Conversation.ts"
import { Gemini } from "./gemini/Gemini.ts"
import { Leases } from "./gemini/Leases.ts"
import { ModelPause } from "./gemini/ModelPause.ts"
import { Replies } from "./gemini/Replies.ts"
import { ReplyStates } from "./gemini/ReplyStates.ts"
import { makeReplyTasks } from "./gemini/ReplyTask.ts"
import { Admission } from "./http/Admission.ts"
import { Cursors } from "./http/Cursors.ts"
import { Idempotency } from "./http/Idempotency.ts"
import { ServerLayer } from "./http/Server.ts"
import { DrainFirst, Draining } from "./ops/Draining.ts"
import { LoggingLayer } from "./ops/Logging.ts"
import { TelemetryLayer } from "./ops/Telemetry.ts"
import { Queue } from "./queue/Queue.ts"
import { QueueState } from "./queue/QueueState.ts"
import { ReaperLayer } from "./queue/Reaper.ts"
import { Tasks } from "./queue/Tasks.ts"
import { WorkerHealth, WorkerLayer } from "./queue/Worker.ts"
import { ReplyStream } from "./stream/ReplyStream.ts"
import { StreamLog } from "./stream/StreamLog.ts"

const AuthLayer = Accounts.layer.pipe(
  Layer.provideMerge(
    Layer.mergeAll(Tokens.layer, Users.layer, Sessions.layer, Otp.layer, AuthEvents.layer, Passwords.layer, AddressLimits.layer)
  ),
  Layer.provideMerge(Layer.mergeAll(Keys.layer, Throttle.layer, CodeSender.layer))
)
const ChatLayer = Layer.mergeAll(ChatroomList.layer, Sending.layer, RoomExport.layer, Search.layer).pipe(
  Layer.provideMerge(Layer.mergeAll(Chatrooms.layer, Messages.layer, Quota.layer))
)
const GeminiLayer = Layer.mergeAll(Replies.layer, ContextReceipts.layer, Cancellation.layer).pipe(
  Layer.provide([ReplyStates.layer, Conversation.layer, Leases.layer, ModelPause.layer]),
  Layer.provide([Gemini.layer, ChatLayer])
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
const QueueLayer = Queue.layer.pipe(Layer.provideMerge(Notifications.layer))

/** What the worker can do. */
const TasksLayer = Layer.effect(
  Tasks,
  Effect.map(Effect.all([makeReplyTasks, makeChatTasks, makeBillingTasks, makeAuthTasks]), (tasks) => tasks.flat())
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
  Layer.provide([QueueLayer, StreamLog.layer]),
  Layer.provide([DatabaseLayer, Draining.layer]),
  Layer.provide([LoggingLayer, TelemetryLayer])
)

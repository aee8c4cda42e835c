import { Clock, Effect } from "effect"
import {
  BudgetExceeded,
  ChatroomNotFound,
  MessageNotFound,
  NotAQuestion,
  NotFinished,
  QuotaExceeded,
  RoomBusy,
  type SpendLimitReached,
  TooManyBranches
} from "../api/chat/ChatErrors.ts"
import { maximumAttachedBytes } from "../api/files/File.ts"
import { type AttachmentsNotInPlan, AttachmentsTooLarge } from "../api/files/FileErrors.ts"
import { IdempotencyKeyReused } from "../api/Idempotency.ts"
import type { ModelNotInPlan, ToolNotInPlan } from "../api/models/ModelErrors.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { isoText } from "../api/Schemas.ts"
import { secondsUntil } from "./Quota.ts"
import type { SendOutcome } from "./SendMessage.ts"

/** Why a question is not accepted. */
export type Refusal =
  | ChatroomNotFound
  | ValidationFailed
  | AttachmentsNotInPlan
  | AttachmentsTooLarge
  | ModelNotInPlan
  | ToolNotInPlan
  | IdempotencyKeyReused
  | RoomBusy
  | QuotaExceeded
  | BudgetExceeded
  | SpendLimitReached

type RefusedOutcome = Exclude<SendOutcome, { readonly outcome: "accepted" | "replayed" | "settings_changed" }>

const invalid = (path: string, message: string) => new ValidationFailed({ errors: [{ path, message }] })

const untilReset = Effect.fnUntraced(function* (resetsAt: string, upgradeUrl: string) {
  const retryAfter = secondsUntil(resetsAt, yield* Clock.currentTimeMillis)
  return { resetsAt: isoText(resetsAt), upgradeUrl, retryAfter }
})

/** Fails with the problem that says why `send_message` has refused a question, or another reply to one (`isAgain`). */
export const refuse = Effect.fnUntraced(function* (refused: RefusedOutcome, isAgain: boolean, upgradeUrl: string) {
  switch (refused.outcome) {
    case "chatroom_not_found":
      return yield* new ChatroomNotFound()
    case "message_not_found":
      return yield* new MessageNotFound()
    case "not_a_question":
      return yield* new NotAQuestion()
    case "not_finished":
      return yield* new NotFinished()
    case "too_many_branches":
      return yield* new TooManyBranches({ limit: refused.limit })
    case "idempotency_key_reused":
      return yield* new IdempotencyKeyReused()
    case "room_busy":
      return yield* new RoomBusy()
    case "attachment_not_found":
      return yield* invalid(`/attachments/${refused.index}`, "is not one of the user's files")
    case "attachment_not_readable":
      // Another reply is asked for with another model.
      return yield* isAgain
        ? invalid("/settings/model", "does not read a file of the question")
        : invalid(`/attachments/${refused.index}`, "is a file of a type that the model does not read")
    case "attachments_too_large":
      return yield* new AttachmentsTooLarge({ limit: maximumAttachedBytes })
    case "quota_exceeded":
      return yield* new QuotaExceeded({ limit: refused.limit, ...(yield* untilReset(refused.resetsAt, upgradeUrl)) })
    case "budget_exceeded":
      return yield* new BudgetExceeded(yield* untilReset(refused.resetsAt, upgradeUrl))
    default:
      return yield* Effect.die(new Error(`send_message returned ${JSON.stringify(refused satisfies never)}`))
  }
})

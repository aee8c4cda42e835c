import { createHash } from "node:crypto"
import { Clock, Context, Effect, Layer, Result } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { LRUCache } from "lru-cache"
import { v7 as uuid } from "uuid"
import { Unauthenticated } from "../api/auth/AuthErrors.ts"
import type { CurrentSession, Tier, UserId } from "../api/auth/User.ts"
import type { QuotaState } from "../api/account/Usage.ts"
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
import { ChatroomId } from "../api/chat/Chatroom.ts"
import type { Message, MessageId } from "../api/chat/Message.ts"
import { defaultThinking } from "../api/chat/Thinking.ts"
import { IdempotencyKeyReused } from "../api/Idempotency.ts"
import type { ModelNotInPlan, ToolNotInPlan } from "../api/models/ModelErrors.ts"
import { type AttachmentsNotInPlan, AttachmentsTooLarge } from "../api/files/FileErrors.ts"
import { type FileId, maximumAttachedBytes } from "../api/files/File.ts"
import { ContextTooLong } from "../api/openai/CompletionErrors.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { isoText } from "../api/Schemas.ts"
import type { Price } from "../config/Models.ts"
import { forTier } from "../config/Plans.ts"
import { AppConfig } from "../config/Settings.ts"
import { inOrder, makeBatches, unlockedRowsOf } from "../database/Batches.ts"
import { keyLifetime } from "../database/IdempotencyKeys.ts"
import { topicOf } from "../database/Topics.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Uploads } from "../files/Uploads.ts"
import { checkFormat, Models } from "../models/Models.ts"
import { estimatedSearches } from "../models/Tools.ts"
import type { ChosenSettings, ReplySettings, RoomSettings } from "../models/Settings.ts"
import { Spending } from "../models/Spending.ts"
import { currentTraceparent } from "../ops/Tracing.ts"
import { Announcer } from "../queue/Announcer.ts"
import type { GivenInput } from "./GivenInput.ts"
import { firstVersion, newQuestion, newReply } from "./MessageRow.ts"
import { Messages } from "./Messages.ts"
import { Quota, quotaState, secondsUntil } from "./Quota.ts"
import { wordsOf } from "./Titles.ts"

/** Questions of a room that may be unanswered at once. */
const maximumUnanswered = 4
/** Rooms whose settings a process remembers, some 200 bytes each. */
const maximumKnownRooms = 20_000
/** Tries of one question whose room or tier change meanwhile. */
const maximumTries = 5

export interface Sent {
  readonly message: Message
  readonly reply: Message
  readonly quota: QuotaState
  readonly replayed: boolean
  /** 202, or the status the first answer to this idempotency key had. */
  readonly status: number
}

/** What an accepted question has taken. Times are ISO 8601 text, as JSON has them; money is in millionths of a dollar. */
interface Taken {
  readonly questionId: string
  readonly replyId: string
  readonly sentAt: string
  readonly limit: number | null
  readonly used: number
  readonly resetsAt: string
  /** Absent in what an idempotency key has kept from the previous release. */
  readonly budget?: number | null
  readonly spent: number
  readonly reserved: number
  /** The reply that the question follows. This and the next two are absent in what a key has kept from the previous release. */
  readonly parentId?: string | null
  /** Of the message that is new, the question or else the reply: its number among its versions, and the one before it. */
  readonly version?: number
  readonly previousVersion?: string | null
  readonly toolsSkipped?: Message["toolsSkipped"]
  readonly attachments?: Message["attachments"]
  /** Of a completion: the room that the transaction has made for it. */
  readonly roomId?: ChatroomId
}

/** What `send_message` returns. */
export type SendOutcome =
  | (Taken & { readonly outcome: "accepted"; readonly isHead: boolean; readonly priority: number; readonly isTitled: boolean })
  | (Taken & { readonly outcome: "replayed"; readonly status: number })
  | { readonly outcome: "chatroom_not_found" }
  | { readonly outcome: "message_not_found" }
  | { readonly outcome: "not_a_question" }
  | { readonly outcome: "not_finished" }
  | { readonly outcome: "too_many_branches"; readonly limit: number }
  | { readonly outcome: "idempotency_key_reused" }
  | { readonly outcome: "room_busy" }
  /** The file at the index is unknown, another user's or deleted, or of a kind that the model does not read. */
  | { readonly outcome: "attachment_not_found" | "attachment_not_readable"; readonly index: number }
  | { readonly outcome: "attachments_too_large" }
  /** The tier or the room's settings are not those that the caller resolved the reply's settings from. */
  | (RoomSettings & { readonly outcome: "settings_changed"; readonly tier: Tier; readonly version: number })
  | { readonly outcome: "quota_exceeded"; readonly limit: number; readonly resetsAt: string }
  | { readonly outcome: "budget_exceeded"; readonly limit: number | null; readonly resetsAt: string }

export type Asker = Pick<CurrentSession, "userId" | "tier">

/** A question, or another reply to one, as its user asks for it. */
export interface Asked {
  readonly roomId: ChatroomId
  readonly settings?: ChosenSettings | undefined
  readonly attachments?: ReadonlyArray<FileId> | undefined
  readonly idempotencyKey?: string | undefined
}

/** A question that brings the turns before it. */
export interface Completion {
  readonly content: string
  readonly input: GivenInput
  /** Tokens of the whole prompt, by an estimate. */
  readonly tokens: number
  readonly settings: ChosenSettings
  /** The files of all turns. */
  readonly attachments: ReadonlyArray<FileId>
  readonly idempotencyKey: string | undefined
  /** Of the request, which a repetition of the key must equal. */
  readonly hash: string
}

/** Why it is not accepted. */
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

/** What a transaction takes besides the reply's settings. */
interface Acceptance {
  readonly userId: UserId
  readonly roomId: ChatroomId
  readonly content: string
  /** The question that is edited; without content, the reply or the question that gets another reply. */
  readonly again: MessageId | null
  readonly settings: ChosenSettings
  /** Null for none. */
  readonly attachments: ReadonlyArray<FileId> | null
  readonly key: string | null
  readonly hash: string | null
  /** Of a completion; undefined in a chat. */
  readonly given?: Pick<Completion, "input" | "tokens"> | undefined
}

/** The arguments of `send_message` that differ between questions. */
interface Change {
  readonly userId: UserId
  readonly roomId: ChatroomId
  readonly question: string
  readonly reply: string
  readonly content: string
  readonly again: MessageId | null
  readonly tier: Tier
  readonly dailyLimit: number | null
  readonly runningLimit: number
  readonly title: string | null
  readonly settings: ReplySettings
  readonly version: number
  readonly contextTokens: number
  /** Millionths of a dollar for a token. */
  readonly inputPrice: number
  readonly outputMicros: number
  readonly dailySearches: number
  readonly searchMicros: number
  readonly budget: number | null
  readonly key: string | null
  readonly hash: string | null
  /** Null for none. */
  readonly attachments: ReadonlyArray<FileId> | null
  /** Null where the question has no files. */
  readonly attachmentLimits: { readonly bytes: number; readonly kinds: ReadonlyArray<string> } | null
  /** Null in a chat. */
  readonly input: GivenInput | null
}

const changeColumns = {
  userId: "uuid",
  roomId: "uuid",
  question: "uuid",
  reply: "uuid",
  content: "text",
  again: "uuid",
  tier: "text",
  dailyLimit: "int",
  runningLimit: "int",
  title: "text",
  settings: "jsonb",
  version: "int",
  contextTokens: "int",
  inputPrice: "float8",
  outputMicros: "int8",
  dailySearches: "int",
  searchMicros: "int8",
  budget: "int8",
  key: "text",
  hash: "text",
  attachments: "uuid[]",
  attachmentLimits: "jsonb",
  input: "jsonb"
}

interface KnownRoom extends RoomSettings {
  readonly version: number
}
/** This version stands for a room with the defaults, as most have. */
const plainRoom: KnownRoom = { version: -1, model: null, temperature: null, thinking: defaultThinking, tools: [] }
/** No room has this version, so a try with it finds out what the room's settings are. */
const unknownRoom: KnownRoom = { ...plainRoom, version: -2 }

interface Settled {
  readonly settings: ReplySettings
  readonly price: Price | undefined
}
/** The settings of that try, which is never accepted. */
const unsettled: Settled = { settings: { model: "", temperature: null, maxOutputTokens: 0, contextTokens: 0 }, price: undefined }

/** What the reply's settings are resolved from. */
interface Basis {
  readonly tier: Tier
  readonly room: KnownRoom
}

/** The settings count only where there are some, so that keys of the previous release are known. */
const hashOf = (parts: ReadonlyArray<string>, settings: ChosenSettings): string => {
  const names = Object.keys(settings).toSorted()
  const request = names.length === 0 ? parts : [...parts, JSON.stringify(settings, names)]
  // A list of names drops the members of nested objects.
  const format = settings.responseFormat === undefined ? [] : [JSON.stringify(settings.responseFormat)]
  const { level, summaries } = settings.thinking ?? {}
  const thinking = settings.thinking === undefined ? [] : [`thinking ${level} ${summaries}`]
  return createHash("sha256")
    .update([...request, ...format, ...thinking].join("\n"))
    .digest("base64url")
}

const invalid = (path: string, message: string) => new ValidationFailed({ errors: [{ path, message }] })

/** Accepts questions. */
export class Sending extends Context.Service<
  Sending,
  {
    /**
     * Accepts a question: one transaction takes the room, the idempotency key, the quota and the budget, and stores the
     * question with its waiting reply. One round trip; whatever is refused has stored nothing.
     */
    readonly send: (user: Asker, question: Asked & { readonly content: string }) => Effect.Effect<Sent, Refusal>
    /** A new reply to a question that was answered before; takes what `send` does. */
    readonly regenerate: (
      user: Asker,
      request: Asked & { readonly id: MessageId }
    ) => Effect.Effect<Sent, Exclude<Refusal, AttachmentsNotInPlan | AttachmentsTooLarge> | MessageNotFound | NotFinished>
    /** The question in other words, on a branch of its own; takes what `send` does. */
    readonly edit: (
      user: Asker,
      request: Asked & { readonly id: MessageId; readonly content: string }
    ) => Effect.Effect<
      Sent,
      | Exclude<Refusal, AttachmentsNotInPlan | AttachmentsTooLarge>
      | MessageNotFound
      | NotAQuestion
      | NotFinished
      | TooManyBranches
    >
    /**
     * Accepts a question that brings the turns before it, in a room of its own that no list shows; takes what `send` does.
     * Fails when the prompt is longer than the model's context.
     */
    readonly complete: (
      user: Asker,
      completion: Completion
    ) => Effect.Effect<Sent, Exclude<Refusal, ChatroomNotFound | RoomBusy> | ContextTooLong | Unauthenticated>
    /** Remembers that a waiting request was answered with the finished reply, for later replays of its key. */
    readonly rememberCompleted: (
      userId: UserId,
      route: "sendMessage" | "editMessage",
      idempotencyKey: string
    ) => Effect.Effect<void>
  }
>()("chat-backend/chat/Sending") {
  static readonly layer = Layer.effect(
    Sending,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const announcer = yield* Announcer
      const quota = yield* Quota
      const messages = yield* Messages
      const models = yield* Models
      const spending = yield* Spending
      const uploads = yield* Uploads
      const { autoTitles, dailySearches, frontEnd, searchPrice, userConcurrency } = yield* AppConfig
      const knownRooms = new LRUCache<string, KnownRoom>({ max: maximumKnownRooms })

      const acceptInBatch = yield* makeBatches<Change, SendOutcome, SqlError.SqlError>((changes, waits) => {
        const accepted = sql<{ position: number; sent: SendOutcome }>`
          select q.position, send_message(p_user => q."userId", p_room => q."roomId", p_question => q.question,
            p_reply => q.reply, p_content => q.content, p_again => q.again, p_tier => q.tier, p_daily_limit => q."dailyLimit",
            p_running_limit => q."runningLimit", p_room_limit => ${maximumUnanswered}, p_title => q.title, p_settings => q.settings,
            p_settings_version => q.version, p_context_tokens => q."contextTokens", p_input_price => q."inputPrice",
            p_output_micros => q."outputMicros", p_daily_searches => q."dailySearches", p_search_micros => q."searchMicros", p_budget => q.budget, p_key => q.key, p_hash => q.hash,
            p_key_lifetime => ${keyLifetime}::text::interval, p_attachments => q.attachments,
            p_attachment_limits => q."attachmentLimits", p_input => q.input) as sent
          from ${unlockedRowsOf(sql, changes, changeColumns, waits)} q
        `
        return Effect.map(waits ? retryConflicts(sql)(accepted) : accepted, (rows) =>
          inOrder(changes, rows).map((row) => row?.sent)
        )
      })

      /** One try, with settings that are resolved from what is known of the room and the tier. */
      const tryAccept = Effect.fnUntraced(function* (
        { again, attachments, content, given, hash, key, roomId, userId }: Acceptance,
        { room, tier }: Basis,
        { price, settings: resolved }: Settled
      ) {
        const { budget, prompts } = quota.limitsOf(tier)
        const searches = resolved.tools?.includes("search") === true ? estimatedSearches : 0
        const traceparent = yield* currentTraceparent
        const change: Change = {
          userId,
          roomId,
          question: uuid(),
          reply: uuid(),
          content,
          again,
          tier,
          dailyLimit: prompts,
          runningLimit: forTier(userConcurrency, tier),
          title: autoTitles === "off" || content === "" || given !== undefined ? null : (wordsOf(content) ?? null),
          settings: traceparent === undefined ? resolved : { ...resolved, traceparent },
          version: room.version,
          contextTokens: resolved.contextTokens,
          inputPrice: price?.input ?? 0,
          outputMicros: Math.ceil(resolved.maxOutputTokens * (price?.output ?? 0)),
          dailySearches: forTier(dailySearches, tier),
          searchMicros: Math.round(searches * searchPrice),
          budget,
          key,
          hash,
          attachments,
          attachmentLimits:
            attachments === null && again === null
              ? null
              : { bytes: maximumAttachedBytes, kinds: models.inputOf(resolved.model) },
          input: given?.input ?? null
        }
        return yield* Effect.orDie(acceptInBatch(change))
      })

      const settle = Effect.fnUntraced(function* ({ attachments, given, settings }: Acceptance, { room, tier }: Basis) {
        if (attachments !== null) yield* uploads.checkPlan(tier)
        const settled = yield* models.settle(settings, room, tier)
        const limit = settled.settings.contextTokens
        if (given !== undefined && given.tokens > limit) return yield* ContextTooLong.of(limit, given.tokens)
        return settled
      })

      /**
       * The transaction checks that the settings are those of the room and the tier at that moment, so what is remembered
       * here may be old: then it says what they are, and the next try has them.
       */
      const accept = Effect.fnUntraced(function* (acceptance: Acceptance, tier: Tier) {
        const isChat = acceptance.given === undefined
        const cacheKey = `${acceptance.userId}:${acceptance.roomId}`
        let basis: Basis = { tier, room: (isChat ? knownRooms.get(cacheKey) : undefined) ?? plainRoom }
        // Only what the transaction has said is a reason to refuse a question.
        let isFresh = false
        for (let tries = 0; tries < maximumTries; tries++) {
          const { room } = basis
          const settled = room === unknownRoom ? Result.succeed(unsettled) : yield* Effect.result(settle(acceptance, basis))
          if (Result.isFailure(settled)) {
            if (isFresh) return yield* Effect.fail(settled.failure)
            basis = { ...basis, room: unknownRoom }
            continue
          }
          const sent = yield* tryAccept(acceptance, basis, settled.success)
          if (sent.outcome !== "settings_changed") return sent
          const { model, temperature, thinking, tools, version } = sent
          basis = { tier: sent.tier, room: isChat ? { model, temperature, thinking, tools, version } : plainRoom }
          if (isChat) knownRooms.set(cacheKey, basis.room)
          isFresh = true
        }
        return yield* Effect.die(new Error("a room's settings change faster than a question is accepted"))
      })

      const untilReset = Effect.fnUntraced(function* (resetsAt: string) {
        const retryAfter = secondsUntil(resetsAt, yield* Clock.currentTimeMillis)
        return { resetsAt: isoText(resetsAt), upgradeUrl: frontEnd.upgrade, retryAfter }
      })

      const submit = Effect.fnUntraced(function* (
        { tier, userId }: Asker,
        { attachments = [], idempotencyKey, roomId, settings = {} }: Asked,
        content: string,
        again: MessageId | null,
        completion?: Completion
      ) {
        yield* checkFormat(settings.responseFormat)
        const key = idempotencyKey ?? null
        const hashOfRequest = () => completion?.hash ?? hashOf([roomId, again ?? "", content, ...attachments], settings)
        const hash = key === null ? null : hashOfRequest()
        yield* spending.check
        const files = attachments.length === 0 ? null : attachments
        const asked = { userId, roomId, content, again, settings, attachments: files, key, hash, given: completion }
        const sent = yield* accept(asked, tier)
        const answer = (taken: Taken) => {
          const {
            attachments,
            parentId = null,
            previousVersion: previous = null,
            questionId,
            replyId,
            toolsSkipped,
            version: index = 1
          } = taken
          const [questionVersion, replyVersion] =
            again !== null && content === "" ? [firstVersion, { index, previous }] : [{ index, previous }, firstVersion]
          const versions = { parentId, questionVersion, replyVersion }
          const ids = {
            roomId: taken.roomId ?? roomId,
            questionId,
            replyId,
            sentAt: isoText(taken.sentAt),
            toolsSkipped,
            attachments,
            ...versions
          }
          return {
            message: newQuestion(ids, content),
            reply: newReply(ids),
            quota: quotaState(taken.limit, taken.budget ?? null, taken, isoText(taken.resetsAt))
          }
        }
        switch (sent.outcome) {
          case "accepted": {
            const { isHead, isTitled, priority, questionId, replyId } = sent
            yield* announcer.announce({
              replies: isHead ? [{ userId, replyId, priority }] : [],
              titles:
                isTitled && autoTitles === "model"
                  ? [{ userId, roomId, questionId, replyId, traceparent: yield* currentTraceparent }]
                  : [],
              topics: completion === undefined ? [topicOf("chatrooms", userId)] : []
            })
            return { ...answer(sent), replayed: false, status: 202 }
          }
          case "replayed":
            return { ...answer(sent), replayed: true, status: sent.status }
          case "chatroom_not_found":
            return yield* new ChatroomNotFound()
          case "message_not_found":
            return yield* new MessageNotFound()
          case "not_a_question":
            return yield* new NotAQuestion()
          case "not_finished":
            return yield* new NotFinished()
          case "too_many_branches":
            return yield* new TooManyBranches({ limit: sent.limit })
          case "idempotency_key_reused":
            return yield* new IdempotencyKeyReused()
          case "room_busy":
            return yield* new RoomBusy()
          case "attachment_not_found":
            return yield* invalid(`/attachments/${sent.index}`, "is not one of the user's files")
          case "attachment_not_readable":
            // Another reply is asked for with another model.
            return yield* again === null
              ? invalid(`/attachments/${sent.index}`, "is a file of a type that the model does not read")
              : invalid("/settings/model", "does not read a file of the question")
          case "attachments_too_large":
            return yield* new AttachmentsTooLarge({ limit: maximumAttachedBytes })
          case "quota_exceeded":
            return yield* new QuotaExceeded({ limit: sent.limit, ...(yield* untilReset(sent.resetsAt)) })
          case "budget_exceeded":
            return yield* new BudgetExceeded(yield* untilReset(sent.resetsAt))
          default:
            return yield* Effect.die(new Error(`send_message returned ${JSON.stringify(sent satisfies never)}`))
        }
      })

      const send: Sending["Service"]["send"] = Effect.fn("Sending.send")((user, question) =>
        submit(user, question, question.content, null).pipe(
          // Only a question that is asked again names a message.
          Effect.catchTags({
            MessageNotFound: Effect.die,
            NotAQuestion: Effect.die,
            NotFinished: Effect.die,
            TooManyBranches: Effect.die,
            // Chats fit their history into the context.
            ContextTooLong: Effect.die
          })
        )
      )

      const edit: Sending["Service"]["edit"] = Effect.fn("Sending.edit")((user, request) =>
        submit(user, request, request.content, request.id).pipe(
          // The question keeps its files, with which it has been accepted.
          Effect.catchTags({ AttachmentsNotInPlan: Effect.die, AttachmentsTooLarge: Effect.die, ContextTooLong: Effect.die })
        )
      )

      const regenerate: Sending["Service"]["regenerate"] = Effect.fn("Sending.regenerate")(function* (user, request) {
        const sent = yield* submit(user, request, "", request.id).pipe(
          // The question has been accepted with its files.
          Effect.catchTags({
            NotAQuestion: Effect.die,
            TooManyBranches: Effect.die,
            AttachmentsNotInPlan: Effect.die,
            AttachmentsTooLarge: Effect.die,
            ContextTooLong: Effect.die
          })
        )
        const question = yield* messages.get(user.userId, request.roomId, sent.message.id)
        return { ...sent, message: question }
      })

      const complete: Sending["Service"]["complete"] = Effect.fn("Sending.complete")((user, completion) => {
        const roomId = ChatroomId.make(uuid())
        return submit(user, { ...completion, roomId }, completion.content, null, completion).pipe(
          // The room is new.
          Effect.catchTags({
            ChatroomNotFound: () => Effect.fail(Unauthenticated.because("session_revoked")),
            RoomBusy: Effect.die,
            MessageNotFound: Effect.die,
            NotAQuestion: Effect.die,
            NotFinished: Effect.die,
            TooManyBranches: Effect.die
          })
        )
      })

      const rememberCompleted: Sending["Service"]["rememberCompleted"] = Effect.fn("Sending.rememberCompleted")(function* (
        userId,
        route,
        key
      ) {
        yield* sql`update idempotency_keys set status = 201 where user_id = ${userId} and route = ${route} and key = ${key}`
      }, Effect.orDie)

      return Sending.of({ send, edit, regenerate, complete, rememberCompleted })
    })
  )
}

import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import { ChatroomNotFound, MessageNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import type { ContextReceipt } from "../api/chat/ContextReceipt.ts"
import { MessageId } from "../api/chat/Message.ts"
import { defaultThinking } from "../api/chat/Thinking.ts"
import { pathFrom } from "../chat/Paths.ts"
import type { ReplySettings } from "../models/Settings.ts"
import { Models } from "../models/Models.ts"
import { estimateTokens, tokensOfBytes } from "../models/TokenEstimate.ts"
import { Replica } from "../database/Replica.ts"
import { type BulkheadFull, makeBulkhead, untilDisconnected } from "../ops/Bulkhead.ts"
import { FileId } from "../api/files/File.ts"
import { Conversation, type Conversed } from "./Conversation.ts"
import { type SentSummary, sentSummary, withSummary } from "./PromptSummary.ts"
import { type AttachedFile, promptIds } from "./PromptTurns.ts"

/** The receipt covers at most this many messages of the question's branch, and of the room up to the question: the newest. */
const maximumCovered = 1_000
/** Messages of other branches that it lists, the newest ones. */
const maximumOfOtherBranches = 200

type Reason = ContextReceipt["dropped"][number]["reason"]

interface RoomMessage {
  readonly id: string
  readonly role: "user" | "model"
  /** Bytes of its text, which is not read. */
  readonly size: number
  readonly status: string
  readonly supersededBy: string | null
  readonly answered: boolean
  /** From the question back, 1 is the question; null on another branch. */
  readonly position: number | null
  readonly attachments: ReadonlyArray<Pick<AttachedFile, "id" | "name" | "type" | "tokens">> | null
}

/** `summarisedFrom` is the position of the last message that the prompt's summary covers. */
const reasonOf = ({ answered, position, role, status, supersededBy }: RoomMessage, summarisedFrom: number): Reason => {
  if (role === "user" && !answered) return "unanswered"
  if (status === "failed" || status === "cancelled") return status
  if (status !== "completed") return "unfinished"
  if (position !== null) return position >= summarisedFrom ? "summarised" : "budget"
  return supersededBy === null ? "other_branch" : "superseded"
}

const sentIdsOf = ({ summary, turns }: Conversed) => ({
  ids: promptIds(summary, turns),
  summary: sentSummary(summary)
})

/** What the model was sent for a reply: the receipt stored with it, or, before the first call, what would be sent now. */
export class ContextReceipts extends Context.Service<
  ContextReceipts,
  {
    readonly find: (
      userId: UserId,
      roomId: ChatroomId,
      replyId: MessageId
    ) => Effect.Effect<ContextReceipt, ChatroomNotFound | MessageNotFound | BulkheadFull>
  }
>()("chat-backend/replies/ContextReceipts") {
  static readonly layer = Layer.effect(
    ContextReceipts,
    Effect.gen(function* () {
      const replica = yield* Replica
      const sql = yield* Effect.flatMap(SqlClient.SqlClient, replica.over)
      const conversation = yield* Conversation
      const models = yield* Models
      const bulkhead = makeBulkhead({ permits: 1, waiting: 20, maxWait: "3 seconds" })

      const findReply = Effect.fnUntraced(function* (userId: UserId, roomId: ChatroomId, replyId: MessageId) {
        const [row] = yield* sql<{
          found: boolean
          replyTo: string | null
          ids: string | null
          summary: SentSummary | null
          systemPrompt: string | null
          settings: ReplySettings | null
          promptTokens: number | null
          model: string | null
          roomModel: string | null
          roomTemperature: number | null
        }>`
          select m.id is not null as found, m.reply_to, array_to_string(m.context_ids, ',') as ids, m.context_summary as summary,
            case when m.settings is not null then m.settings ->> 'systemPrompt'
              when m.context_ids is not null then m.context_system_prompt else c.system_prompt end as system_prompt,
            m.settings, m.prompt_tokens, m.model, c.model as room_model, c.temperature as room_temperature
          from chatrooms c left join messages m on m.user_id = c.user_id and m.chatroom_id = c.id and m.id = ${replyId}
          where c.user_id = ${userId} and c.id = ${roomId}
        `.pipe(Effect.orDie)
        if (row === undefined) return yield* new ChatroomNotFound()
        if (!row.found || row.replyTo === null) return yield* new MessageNotFound()
        return { ...row, replyTo: row.replyTo }
      })

      /** The messages of the question's branch, the newest of the room, and those that were sent. */
      const messagesUpTo = (userId: UserId, roomId: ChatroomId, questionId: string, sent: ReadonlyArray<string>) =>
        sql<RoomMessage>`
          with recursive ${pathFrom(sql, { userId, roomId, from: questionId, limit: maximumCovered })}, covered as (
            select id from path
            union
            select unnest(string_to_array(${sent.join(",")}, ',')::uuid[])
            union
            (select m.id from messages m
            where m.user_id = ${userId} and m.chatroom_id = ${roomId} and (m.id <= ${questionId} or m.reply_to < ${questionId})
            order by m.id desc limit ${maximumCovered})
          )
          select m.id, m.role, octet_length(m.content) as size, m.status, m.superseded_by, m.attachments, exists (
            select 1 from messages r where r.user_id = m.user_id and r.chatroom_id = m.chatroom_id and r.reply_to = m.id
              and r.status = 'completed') as answered, path.position
          from covered join messages m on m.user_id = ${userId} and m.chatroom_id = ${roomId} and m.id = covered.id
          left join path on path.id = m.id
          order by m.id desc
        `.pipe(Effect.orDie)

      const find = Effect.fn("ContextReceipts.find")(function* (userId: UserId, roomId: ChatroomId, replyId: MessageId) {
        const reply = yield* findReply(userId, roomId, replyId)
        const { systemPrompt } = reply
        const room = { model: reply.roomModel, temperature: reply.roomTemperature, thinking: defaultThinking, tools: [] }
        const { contextTokens, maxOutputTokens, model, responseFormat, temperature, thinking, tools } =
          reply.settings ?? (yield* models.defaults(room, "basic"))
        const question = { userId, chatroomId: roomId, questionId: reply.replyTo, systemPrompt, contextTokens, model }
        const { ids, summary } =
          reply.ids === null
            ? sentIdsOf(yield* conversation.promptFor(question))
            : { ids: reply.ids.split(","), summary: reply.summary }
        const found = yield* messagesUpTo(userId, roomId, reply.replyTo, ids)
        const messages = new Map(found.map((message) => [message.id, message]))
        // The end of a summary that is not among these messages is before them.
        const summarisedFrom = (summary === null ? null : messages.get(summary.upTo)?.position) ?? Infinity
        const included = ids.flatMap((id) => {
          const message = messages.get(id)
          return message === undefined
            ? []
            : [{ id: MessageId.make(id), role: message.role, tokens: tokensOfBytes(message.size) }]
        })
        const sent = new Set(ids)
        const dropped = [...messages.values()]
          .filter(({ id }) => !sent.has(id))
          .map((message) => ({ id: MessageId.make(message.id), reason: reasonOf(message, summarisedFrom) }))
        const others = dropped.filter(({ reason }) => reason === "other_branch").slice(maximumOfOtherBranches)
        const unlisted = new Set(others.map(({ id }) => id))
        const attachments = included.flatMap(({ id: messageId }) =>
          (messages.get(messageId)?.attachments ?? []).map(({ id, name, tokens, type }) => ({
            id: FileId.make(id),
            messageId,
            name,
            type,
            tokens,
            status: sent.has(id) ? ("sent" as const) : ("omitted" as const)
          }))
        )
        const estimate = [...included, ...attachments.filter(({ status }) => status === "sent")].reduce(
          (sum, { tokens }) => sum + tokens,
          estimateTokens(withSummary(systemPrompt, summary === null ? null : { text: summary.text, first: null }) ?? "")
        )
        return {
          included,
          dropped: dropped.filter(({ id }) => !unlisted.has(id)).toReversed(),
          attachments,
          summary: summary === null ? null : { ...summary, upTo: MessageId.make(summary.upTo) },
          systemPrompt,
          promptTokens: Math.max(0, reply.promptTokens ?? estimate),
          model: reply.model ?? model,
          settings: {
            model,
            temperature,
            maxOutputTokens,
            contextTokens,
            ...(thinking === undefined ? {} : { thinking }),
            ...(tools === undefined ? {} : { tools }),
            ...(responseFormat === undefined ? {} : { responseFormat })
          }
        }
      })

      return ContextReceipts.of({
        find: (userId, roomId, replyId) => bulkhead.run(userId, untilDisconnected(find(userId, roomId, replyId)))
      })
    })
  )
}

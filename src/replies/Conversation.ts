import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { retryConflicts } from "../database/Transactions.ts"
import { maximumAttachedBytes, maximumAttachments } from "../api/files/File.ts"
import type { FileKind } from "../api/files/FileTypes.ts"
import type { GivenInput } from "../chat/GivenInput.ts"
import type { Turn } from "../gemini/Gemini.ts"
import { AppConfig } from "../config/Settings.ts"
import { Models } from "../models/Models.ts"
import { beforeThem, type BeforeThem, type PromptSummary, withSummary } from "./PromptSummary.ts"

/** A file of a question, as the question's row has it. */
export interface AttachedFile {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly kind: FileKind
  readonly bytes: number
  readonly tokens: number
  readonly deleted: boolean
}

/** A turn with the message it comes from. */
export interface SourcedTurn extends Pick<Turn, "role" | "text"> {
  readonly messageId: string
  /** The question's files: those that are sent, and those in whose place a line is. Absent without. */
  readonly files?: ReadonlyArray<AttachedFile & { readonly isSent: boolean }>
}

/** The tokens of a turn. */
export const tokensOf = ({ files = [], text }: Pick<SourcedTurn, "files" | "text">): number =>
  files.reduce((sum, { isSent, tokens }) => sum + (isSent ? tokens : 0), estimateTokens(text))

/** Earlier questions of the branch that are looked at; enough to fill the budget, unless they are very short. */
const maximumEarlier = 200

/** About one token for four bytes of UTF-8: accurate enough to fit a budget, and needs no call to the model. */
export const tokensOfBytes = (bytes: number): number => Math.ceil(bytes / 4)
export const estimateTokens = (text: string): number => tokensOfBytes(Buffer.byteLength(text))

/** Ids of the messages and of the files that a prompt has. */
export const promptIds = (summary: PromptSummary | null, turns: ReadonlyArray<SourcedTurn>): ReadonlyArray<string> => {
  const inSummary = summary?.first == null ? [] : [summary.first.id]
  const sent = turns.flatMap(({ files = [], messageId }) => [
    messageId,
    ...files.flatMap(({ id, isSent }) => (isSent ? [id] : []))
  ])
  return [...new Set([...inSummary, ...sent])]
}

export interface AnsweredQuestion {
  readonly questionId: string
  readonly question: string
  readonly answerId: string
  readonly answer: string
  /** The question's; null without. */
  readonly attachments?: ReadonlyArray<AttachedFile> | null
}

/** What of files a prompt may have. */
interface FileBudget {
  tokens: number
  bytes: number
  count: number
}

/** Takes a file into the budget, if it is still there, the model reads it, and it fits. */
const takeFile = (file: AttachedFile, kinds: ReadonlySet<FileKind>, budget: FileBudget): boolean => {
  if (file.deleted || !kinds.has(file.kind)) return false
  if (file.tokens > budget.tokens || file.bytes > budget.bytes || budget.count < 1) return false
  budget.tokens -= file.tokens
  budget.bytes -= file.bytes
  budget.count--
  return true
}

const userTurn = (
  { attachments, question, questionId }: Pick<AnsweredQuestion, "attachments" | "question" | "questionId">,
  kinds: ReadonlySet<FileKind>,
  budget: FileBudget
): SourcedTurn => ({
  role: "user",
  text: question,
  messageId: questionId,
  ...(attachments == null || attachments.length === 0
    ? {}
    : { files: attachments.map((file) => ({ ...file, isSent: takeFile(file, kinds, budget) })) })
})

/**
 * The turns to send: the question, preceded by the newest earlier questions with their answers, as many as the budget
 * holds. Unanswered questions are left out, so the roles always alternate. The question's own files are sent even above the
 * budget of tokens; those of earlier questions as far as it holds them.
 */
export const fit = (
  asked: Pick<AnsweredQuestion, "questionId" | "question" | "attachments">,
  earlierNewestFirst: ReadonlyArray<AnsweredQuestion>,
  systemPrompt: string | null,
  contextTokens: number,
  kinds: ReadonlySet<FileKind> = noKinds
): Array<SourcedTurn> => {
  const files = { tokens: Infinity, bytes: maximumAttachedBytes, count: maximumAttachments }
  const own = userTurn(asked, kinds, files)
  let left = contextTokens - tokensOf(own) - estimateTokens(systemPrompt ?? "")
  const turns: Array<SourcedTurn> = [own]
  for (const exchange of earlierNewestFirst) {
    const { answer, answerId } = exchange
    left -= estimateTokens(exchange.question) + estimateTokens(answer)
    if (left < 0) break
    files.tokens = left
    turns.unshift(userTurn(exchange, kinds, files), { role: "model", text: answer, messageId: answerId })
    left = files.tokens
  }
  return turns
}

/** The turns that a question outside of chats brings, and the question. All of them are sent: its acceptance has counted them. */
export const givenTurns = (
  { attachments, question, questionId }: Pick<AnsweredQuestion, "attachments" | "question" | "questionId">,
  { files, turns }: GivenInput,
  kinds: ReadonlySet<FileKind>
): Array<SourcedTurn> => {
  const byId = new Map((attachments ?? []).map((file) => [file.id, file]))
  return [...turns, { role: "user" as const, text: question, files }].map(({ files: ids = [], role, text }) => {
    const ofTurn = ids.flatMap((id) => byId.get(id) ?? [])
    const sent = ofTurn.map((file) => ({ ...file, isSent: !file.deleted && kinds.has(file.kind) }))
    return { role, text, messageId: questionId, ...(sent.length === 0 ? {} : { files: sent }) }
  })
}
const noKinds: ReadonlySet<FileKind> = new Set()

interface Asked {
  readonly userId: string
  readonly chatroomId: string
  readonly questionId: string
  readonly systemPrompt: string | null
  /** Tokens that the prompt may have: system prompt, history and question together. */
  readonly contextTokens: number
  /** The model, which reads some kinds of files. */
  readonly model: string
}

interface ConversationRow extends AnsweredQuestion {
  /** Whether the room has its tree: one from before there were branches gets it now. */
  readonly isFilled: boolean
  /** Of the question, outside of chats. */
  readonly input: GivenInput | null
  /** Whether it is the first question of its branch. */
  readonly isFirst: boolean
  /** Of the newest row: whether the room is summarised (null: as the server's other rooms), and how far it is. */
  readonly summary: boolean | null
  readonly upTo: string | null
}

/** What is sent for a question. */
export interface Conversed {
  /** The turns that end in the question. */
  readonly turns: Array<SourcedTurn>
  /** The system instruction, with the summary at its end. */
  readonly systemPrompt: string | null
  readonly summary: PromptSummary | null
  /** Tokens of the exchanges that are left out and that no summary covers; 0 in a room that is not summarised. */
  readonly uncoveredTokens: number
}

/**
 * The question, and the exchanges before it on its branch, newest first: from each question by the primary key to the
 * reply that it follows, and to the question of that reply. One without an answer is left out. Texts are read only of
 * exchanges that the budget may hold: their sizes are known without.
 */
export const branchBefore = (
  sql: SqlClient.SqlClient,
  { chatroomId, contextTokens, questionId, userId }: Omit<Asked, "model">
) => sql`
  with recursive path as (
    select q.id as question_id, q.parent_id, null::uuid as answer_id, 0 as depth, 0::bigint as tokens
    from messages q where q.user_id = ${userId} and q.chatroom_id = ${chatroomId} and q.id = ${questionId} and q.role = 'user'
    union all
    select q.id, q.parent_id, case when r.status = 'completed' and octet_length(r.content) > 0 then r.id end, p.depth + 1,
      p.tokens + case when r.status = 'completed' then (octet_length(r.content) + octet_length(q.content)) / 4 else 0 end
    from path p
    join messages r on r.user_id = ${userId} and r.id = p.parent_id
    join messages q on q.user_id = ${userId} and q.id = r.reply_to
    where p.depth < ${maximumEarlier} and p.tokens <= ${contextTokens}
  )
  select q.id as question_id, q.content as question, r.id as answer_id, coalesce(r.content, '') as answer,
    case when q.attachments is not null then (
      select jsonb_agg(a || jsonb_build_object('deleted', f.id is null) order by position)
      from jsonb_array_elements(q.attachments) with ordinality as given (a, position)
      left join files f on f.user_id = q.user_id and f.id = (a ->> 'id')::uuid
    ) end as attachments, q.input,
    p.depth > 0 or c.head_id is not null as is_filled, p.parent_id is null as is_first, c.summary, s.upto_id as up_to
  from path p
  left join chatrooms c on p.depth = 0 and c.user_id = ${userId} and c.id = ${chatroomId}
  left join room_summaries s on p.depth = 0 and s.user_id = ${userId} and s.chatroom_id = ${chatroomId}
  join messages q on q.user_id = ${userId} and q.id = p.question_id
  left join messages r on r.user_id = ${userId} and r.id = p.answer_id
  where (p.depth = 0 or p.answer_id is not null) and p.tokens <= ${contextTokens}
  order by p.depth
`

/** The summary, as much of it as the budget holds beside the question. */
const summaryFor = (upTo: string, found: BeforeThem, left: number): PromptSummary | null => {
  if (found.text === null || found.summaryTokens === null) return null
  const tokensWith = (first: PromptSummary["first"]) =>
    estimateTokens(withSummary(null, { first, text: found.text ?? "" }) ?? "") + 1
  const summary = { upTo, tokens: found.summaryTokens, text: found.text }
  const first = found.firstId === null ? null : { id: found.firstId, text: found.first ?? "" }
  if (tokensWith(first) <= left / 2) return { ...summary, first }
  return tokensWith(null) <= left ? { ...summary, first: null } : null
}

/** Tokens of the exchanges that are left out, up to the summary's end: of those that were read, and of those before them. */
const uncoveredOf = (leftOut: ReadonlyArray<AnsweredQuestion>, upTo: string | null, before: number): number => {
  const end = leftOut.findIndex(({ answerId }) => answerId === upTo)
  const read = end === -1 ? leftOut : leftOut.slice(0, end)
  return read.reduce((sum, { answer, question }) => sum + estimateTokens(question) + estimateTokens(answer), before)
}

/** A room's history as the model receives it. */
export class Conversation extends Context.Service<
  Conversation,
  {
    /** What is sent for the question; no turns when it is gone. */
    readonly promptFor: (question: Asked) => Effect.Effect<Conversed>
  }
>()("chat-backend/replies/Conversation") {
  static readonly layer = Layer.effect(
    Conversation,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const models = yield* Models
      const { roomSummaries } = yield* AppConfig

      const promptFor: Conversation["Service"]["promptFor"] = Effect.fn("Conversation.promptFor")(function* (question) {
        const { contextTokens, systemPrompt } = question
        const read = sql<ConversationRow>`${branchBefore(sql, question)}`
        let rows = yield* read
        if (rows[0]?.isFilled === false) {
          yield* sql`select fill_branches(${question.userId}, ${question.chatroomId})`.pipe(retryConflicts(sql))
          rows = yield* read
        }
        const [asked, ...earlier] = rows
        if (asked === undefined) return { turns: [], systemPrompt, summary: null, uncoveredTokens: 0 }
        const kinds = new Set(models.inputOf(question.model))
        if (asked.input !== null) {
          return { turns: givenTurns(asked, asked.input, kinds), systemPrompt, summary: null, uncoveredTokens: 0 }
        }
        const turns = fit(asked, earlier, systemPrompt, contextTokens, kinds)
        const oldest = rows.at(-1) ?? asked
        const isWhole = oldest.isFirst && turns.length > 2 * earlier.length
        const plain = { turns, systemPrompt, summary: null, uncoveredTokens: 0 }
        if (isWhole || !(asked.summary ?? roomSummaries)) return plain

        const { upTo } = asked
        const isRead = earlier.some(({ answerId }) => answerId === upTo)
        const [found] = yield* beforeThem(sql, question, { from: isRead ? null : oldest.questionId, upTo })
        if (found === undefined) return plain
        const left = contextTokens - tokensOf(turns.at(-1) ?? { text: "" }) - estimateTokens(systemPrompt ?? "")
        const summary = upTo !== null && (isRead || found.isReached) ? summaryFor(upTo, found, left) : null
        const instruction = withSummary(systemPrompt, summary)
        const summarised = summary === null ? turns : fit(asked, earlier, instruction, contextTokens, kinds)
        const leftOut = earlier.slice((summarised.length - 1) / 2)
        const isCovered = isRead && !leftOut.some(({ answerId }) => answerId === upTo)
        const uncoveredTokens = isCovered ? 0 : uncoveredOf(leftOut, upTo, found.tokens)
        return { turns: summarised, systemPrompt: instruction, summary, uncoveredTokens }
      }, Effect.orDie)

      return Conversation.of({ promptFor })
    })
  )
}

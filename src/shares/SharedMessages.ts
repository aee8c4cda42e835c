import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Grounding } from "../api/chat/Grounding.ts"
import type { Message } from "../api/chat/Message.ts"
import type { File } from "../api/files/File.ts"
import { iso } from "../api/Schemas.ts"
import type { SharedMessage } from "../api/shares/Share.ts"
import { ShareTooLarge } from "../api/shares/ShareErrors.ts"
import { type BulkheadFull, makeBulkhead } from "../ops/Bulkhead.ts"
import { maximumCopied } from "../chat/Branches.ts"
import type { CopiedMessage } from "../chat/RoomCopies.ts"
import { readableContent } from "../chat/MessageRow.ts"
import { type SharedPart, sharedPath } from "./SharedPath.ts"
import type { OpenedShare } from "./Shares.ts"

/** Bytes of text after which a page takes no other message. */
const pageBytes = 1_048_576
/** Pages of one link that a process reads at once: a page costs more the longer its room is, and anyone can ask for it. */
const reads = { permits: 4, waiting: 100, maxWait: "3 seconds" } as const
/** Bytes of text that a copy may have. */
const maximumCopiedBytes = 16 * 1_048_576

/** A file of a question that a link shows. */
export type SharedFile = Pick<File, "id" | "name" | "type" | "bytes" | "sha256">

interface Row {
  readonly role: SharedMessage["role"]
  readonly content: string
  readonly model: string | null
  readonly grounding: Grounding | null
  readonly createdAt: Date
  readonly attachments: Message["attachments"] | null
  /** Of the page, before the bound of bytes. */
  readonly candidates: number
}

/** The address of a file, by the places of its message and of itself. */
type AddressOf = (message: number, index: number) => string

const attachmentsOf = (position: number, addressOf: AddressOf, attachments: Row["attachments"]) =>
  attachments === null
    ? {}
    : {
        attachments: attachments.map(({ bytes, deleted, name, type }, index) => ({
          name,
          type,
          bytes,
          url: deleted ? null : addressOf(position, index)
        }))
      }

const toShared = ({ content, createdAt, grounding, model, role }: Row): SharedMessage => ({
  role,
  content,
  model,
  createdAt: iso(createdAt),
  ...(grounding === null || grounding.sources.length === 0 ? {} : { sources: grounding.sources })
})

/** The messages that a link shows, read from its room. */
export class SharedMessages extends Context.Service<
  SharedMessages,
  {
    /** Oldest first; `skipped` are on earlier pages. */
    readonly page: (
      share: SharedPart & Pick<OpenedShare, "attachments" | "id">,
      page: { readonly limit: number; readonly skipped: number; readonly addressOf: AddressOf }
    ) => Effect.Effect<{ readonly messages: ReadonlyArray<SharedMessage>; readonly hasMore: boolean }, BulkheadFull>
    /** A file of a message that the link shows, by their places; undefined when the link shows no files, or not this one. */
    readonly file: (
      share: SharedPart & Pick<OpenedShare, "attachments" | "id">,
      place: { readonly message: number; readonly index: number }
    ) => Effect.Effect<SharedFile | undefined, BulkheadFull>
    /** All of them, without their texts, for a copy. */
    readonly all: (part: SharedPart) => Effect.Effect<ReadonlyArray<CopiedMessage>, ShareTooLarge>
  }
>()("chat-backend/shares/SharedMessages") {
  static readonly layer = Layer.effect(
    SharedMessages,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const bulkhead = makeBulkhead(reads)
      const shown = sql.literal(`${readableContent} as content`)

      const readPage = Effect.fn("SharedMessages.page")(function* (
        part: SharedPart & Pick<OpenedShare, "attachments">,
        { addressOf, limit, skipped }: { readonly limit: number; readonly skipped: number; readonly addressOf: AddressOf }
      ) {
        const rows = yield* sql<Row>`
          with path as (
            select id, row_number() over (order by exchange_id, id) as position from (${sharedPath(sql, part)}) ids
            order by position offset ${skipped} limit ${limit + 1}
          ), sized as (
            select m.role, m.content, m.model, m.grounding, m.created_at, m.attachments, path.position, count(*) over ()::int as candidates,
              sum(octet_length(m.content) + coalesce(pg_column_size(m.grounding), 0))
                over (order by path.position rows between unbounded preceding and 1 preceding) as bytes_before
            from path join messages m on m.user_id = ${part.userId} and m.id = path.id
          )
          select role, ${shown}, model, grounding, created_at, candidates,
            case when ${part.attachments} and attachments is not null then show_attachments(${part.userId}, attachments) end
              as attachments
          from sized
          where coalesce(bytes_before, 0) < ${pageBytes} order by position
        `
        const messages = rows
          .slice(0, limit)
          .map((row, index) => ({ ...toShared(row), ...attachmentsOf(skipped + index, addressOf, row.attachments) }))
        return { messages, hasMore: (rows[0]?.candidates ?? 0) > messages.length }
      }, Effect.orDie)

      const readFile = Effect.fn("SharedMessages.file")(function* (
        part: SharedPart,
        { index, message }: { readonly message: number; readonly index: number }
      ) {
        const [file] = yield* sql<SharedFile>`
          select f.id, f.name, f.type, f.bytes, f.sha256
          from (select id from (${sharedPath(sql, part)}) ids order by exchange_id, id offset ${message} limit 1) shown
          join messages m on m.user_id = ${part.userId} and m.id = shown.id
          join files f on f.user_id = m.user_id and f.id = (m.attachments -> ${index}::int ->> 'id')::uuid and f.status = 'ready'
        `
        return file
      }, Effect.orDie)

      const all: SharedMessages["Service"]["all"] = Effect.fn("SharedMessages.all")(function* (part) {
        const rows = yield* sql<CopiedMessage & { readonly bytes: number }>`
          select path.id, path.exchange_id as question_id, octet_length(m.content) as bytes
          from (${sharedPath(sql, part)}) path join messages m on m.user_id = ${part.userId} and m.id = path.id
          order by path.exchange_id, path.id limit ${maximumCopied + 1}
        `.pipe(Effect.orDie)
        const bytes = rows.reduce((sum, row) => sum + row.bytes, 0)
        if (rows.length > maximumCopied || bytes > maximumCopiedBytes) return yield* new ShareTooLarge({ limit: maximumCopied })
        return rows.map(({ id, questionId }) => ({ id, questionId }))
      })

      return SharedMessages.of({
        page: (share, page) => bulkhead.run(share.id, readPage(share, page)),
        file: (share, place) => (share.attachments ? bulkhead.run(share.id, readFile(share, place)) : Effect.succeed(undefined)),
        all
      })
    })
  )
}

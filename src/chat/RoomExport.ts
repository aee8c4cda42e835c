import { Context, Effect, Layer, Option, type Scope, Stream } from "effect"
import type { UserId } from "../api/auth/User.ts"
import type { ChatroomNotFound } from "../api/chat/ChatErrors.ts"
import type { Chatroom, ChatroomId } from "../api/chat/Chatroom.ts"
import type { Message } from "../api/chat/Message.ts"
import { type BulkheadFull, makeBulkhead } from "../ops/Bulkhead.ts"
import { Branches } from "./Branches.ts"
import { Chatrooms } from "./Chatrooms.ts"
import { withCitations } from "./MarkdownCitations.ts"
import { Messages } from "./Messages.ts"

/** Messages in one query. */
const batch = 100
const beforeAll = "00000000-0000-0000-0000-000000000000"

const heading = (message: Message) => `## ${message.role === "user" ? "You" : (message.model ?? "Model")}, ${message.createdAt}`

/** A quotation, as each of its lines begins with a mark. */
const quoted = (text: string): string => text.replaceAll(/^/gm, "> ")

const thoughtsOf = ({ thoughts = null }: Message): string => (thoughts === null ? "" : `${quoted(thoughts)}\n\n`)

const filesOf = ({ attachments }: Message): string =>
  attachments.map(({ name, type }) => `> File: ${name} (${type})\n`).join("") + (attachments.length > 0 ? "\n" : "")

const toMarkdown = (message: Message): string =>
  `\n${heading(message)}\n\n${filesOf(message)}${thoughtsOf(message)}${withCitations(message)}${message.error === null ? "" : `\n\n> ${message.error.message}`}\n`

export interface ExportOptions {
  /** Whether the messages have their thoughts. */
  readonly thoughts: boolean
  /** The messages of the active branch, or all of the room. */
  readonly branch: "active" | "all"
}

/** A room with its messages, oldest first, as a stream, because a room can be larger than a process should hold. */
export class RoomExport extends Context.Service<
  RoomExport,
  {
    /** Takes the user's turn for the scope: one export of a user, of a room or of the account, runs at once. */
    readonly turn: (userId: UserId) => Effect.Effect<void, BulkheadFull, Scope.Scope>
    readonly messages: (userId: UserId, roomId: ChatroomId, options: ExportOptions) => Stream.Stream<Message>
    readonly json: (
      userId: UserId,
      roomId: ChatroomId,
      options: ExportOptions
    ) => Effect.Effect<Stream.Stream<string>, ChatroomNotFound>
    readonly markdown: (
      userId: UserId,
      roomId: ChatroomId,
      options: ExportOptions
    ) => Effect.Effect<Stream.Stream<string>, ChatroomNotFound>
  }
>()("chat-backend/chat/RoomExport") {
  static readonly layer = Layer.effect(
    RoomExport,
    Effect.gen(function* () {
      const chatrooms = yield* Chatrooms
      const branches = yield* Branches
      const { history, ofIds } = yield* Messages
      const { acquire } = makeBulkhead({ permits: 1, waiting: 5, maxWait: "3 seconds" })

      const allMessages = (userId: UserId, roomId: ChatroomId, thoughts: boolean) =>
        Stream.paginate<string, Message>(beforeAll, (after) =>
          history(userId, roomId, { limit: batch, after, thoughts }).pipe(
            // The room was deleted during the export: there are no more messages.
            Effect.catchTag("ChatroomNotFound", () => Effect.succeed({ messages: [], hasMore: false })),
            Effect.map(({ hasMore, messages: found }) => {
              const last = found.at(-1)
              return [found, hasMore && last !== undefined ? Option.some<string>(last.id) : Option.none()] as const
            })
          )
        )

      /** The ids are read first: a room that is moved to another branch meanwhile is exported as it was. */
      const activeBranch = (userId: UserId, roomId: ChatroomId, thoughts: boolean) =>
        Stream.unwrap(
          branches.activePath(userId, roomId).pipe(
            Effect.catchTag("ChatroomNotFound", () => Effect.succeed([])),
            Effect.map((path) =>
              Stream.paginate(path, (ids) =>
                Effect.map(ofIds(userId, ids.slice(0, batch), thoughts), ({ messages: found, looked }) => {
                  const rest = ids.slice(looked)
                  return [found, rest.length > 0 ? Option.some(rest) : Option.none()] as const
                })
              )
            )
          )
        )

      const messages = (userId: UserId, roomId: ChatroomId, { branch, thoughts }: ExportOptions) =>
        branch === "active" ? activeBranch(userId, roomId, thoughts) : allMessages(userId, roomId, thoughts)

      const json = Effect.fn("RoomExport.json")((userId: UserId, roomId: ChatroomId, options: ExportOptions) =>
        Effect.map(chatrooms.get(userId, roomId), (room) => roomToJson(room, messages(userId, roomId, options)))
      )

      const markdown = Effect.fn("RoomExport.markdown")((userId: UserId, roomId: ChatroomId, options: ExportOptions) =>
        Effect.map(chatrooms.get(userId, roomId), (room) =>
          Stream.concat(Stream.make(`# ${room.title}\n`), Stream.map(messages(userId, roomId, options), toMarkdown))
        )
      )

      return RoomExport.of({ turn: acquire, messages, json, markdown })
    })
  )
}

/** The room as JSON, with its messages as one more field. */
export const roomToJson = (room: Chatroom, messages: Stream.Stream<Message>): Stream.Stream<string> =>
  Stream.make(`${JSON.stringify(room).slice(0, -1)},"messages":[`).pipe(
    Stream.concat(
      messages.pipe(
        Stream.map((message) => JSON.stringify(message)),
        Stream.intersperse(",")
      )
    ),
    Stream.concat(Stream.make("]}"))
  )

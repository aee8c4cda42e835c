import { Context, Effect, Layer } from "effect"
import type { UiRequest } from "../api/aisdk/UiMessage.ts"
import type { CurrentSession } from "../api/auth/User.ts"
import {
  type ChatroomsLimited,
  MessageNotFound,
  type NotAQuestion,
  type NotFinished,
  type TooManyBranches,
  type TooManyChatrooms
} from "../api/chat/ChatErrors.ts"
import type { MessageId } from "../api/chat/Message.ts"
import type { FileId } from "../api/files/File.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { RoomOpening } from "../chat/RoomOpening.ts"
import type { Refusal as SendingRefusal } from "../chat/Refusals.ts"
import { type Asked, Sending, type Sent } from "../chat/Sending.ts"
import { ClientIds, editKeyOf, keyOf, type KnownQuestion } from "./ClientIds.ts"
import { newestQuestion, type Question } from "./Question.ts"
import { QuestionFiles } from "./QuestionFiles.ts"

type Refusal =
  | SendingRefusal
  | ChatroomsLimited
  | MessageNotFound
  | NotAQuestion
  | NotFinished
  | TooManyBranches
  | TooManyChatrooms
  | Effect.Error<ReturnType<QuestionFiles["Service"]["store"]>>

/** A question with its files stored, as `Sending` takes it. */
interface Prepared extends Pick<Asked, "roomId" | "settings"> {
  readonly content: string
  readonly attachments: ReadonlyArray<FileId> | undefined
}

/** Accepts what the AI SDK sends, as questions like any others. */
export class UiChat extends Context.Service<
  UiChat,
  {
    /**
     * Accepts the newest question of the request, its other wording, or another reply to it. A room that no user has is
     * opened; a refusal leaves none behind.
     */
    readonly submit: (user: CurrentSession, request: UiRequest) => Effect.Effect<Sent, Refusal>
  }
>()("chat-backend/aisdk/UiChat") {
  static readonly layer = Layer.effect(
    UiChat,
    Effect.gen(function* () {
      const sending = yield* Sending
      const opening = yield* RoomOpening
      const clientIds = yield* ClientIds
      const files = yield* QuestionFiles

      const prepare = Effect.fnUntraced(function* (user: CurrentSession, request: UiRequest, question: Question) {
        const stored = yield* files.store(user, question.files)
        const attachments = stored.length === 0 ? undefined : stored
        return { roomId: request.id, settings: request.settings, content: question.content, attachments }
      })

      /** The question under its key; the room is opened when the user has none of its id. */
      const send = Effect.fnUntraced(function* (user: CurrentSession, prepared: Prepared, idempotencyKey: string) {
        const sent = sending.send(user, { ...prepared, idempotencyKey })
        return yield* Effect.catchTag(sent, "ChatroomNotFound", () =>
          Effect.andThen(
            opening.open(user.userId, prepared.roomId),
            Effect.onError(sent, () => opening.undo(user.userId, prepared.roomId))
          )
        )
      })

      /** Another wording, on a branch of its own. Without files it keeps those of the question. */
      const edit = (user: CurrentSession, prepared: Prepared, key: string, id: MessageId) =>
        sending.edit(user, { ...prepared, id, idempotencyKey: editKeyOf(key, id) })

      /** The request that has made the newest wording, again: a client may not know that it was accepted. */
      const repeat = (
        user: CurrentSession,
        prepared: Prepared,
        key: string,
        edited: MessageId | undefined
      ): Effect.Effect<Sent, Refusal> => (edited === undefined ? send(user, prepared, key) : edit(user, prepared, key, edited))

      const reword = Effect.fnUntraced(function* (
        user: CurrentSession,
        prepared: Prepared,
        key: string,
        { id, request }: KnownQuestion
      ) {
        if (request === undefined) return yield* edit(user, prepared, key, id)
        return yield* Effect.catchTag(repeat(user, prepared, key, request.edited), "IdempotencyKeyReused", () =>
          edit(user, prepared, key, id)
        )
      })

      const ask = Effect.fnUntraced(function* (user: CurrentSession, request: UiRequest, question: Question) {
        const key = keyOf(request.id, question.clientId)
        const messageId = request.messageId ?? undefined
        if (messageId === undefined) return yield* send(user, yield* prepare(user, request, question), key)
        if (messageId !== question.clientId) {
          const errors = [{ path: "/messageId", message: "must be the id of the newest message of the user" }]
          return yield* new ValidationFailed({ errors })
        }
        const known = yield* clientIds.question(user.userId, request.id, question)
        if (known !== undefined && question.content === "") {
          return yield* new ValidationFailed({ errors: [{ path: question.path, message: "must have text" }] })
        }
        const prepared = yield* prepare(user, request, question)
        return yield* known === undefined ? send(user, prepared, key) : reword(user, prepared, key, known)
      })

      /** The SDK asks for a reply again also when the question was refused before; then it is sent now. */
      const answerAgain = Effect.fnUntraced(function* (user: CurrentSession, request: UiRequest, question: Question) {
        const { id: roomId, messageId: named, settings } = request
        const isOfQuestion = named === undefined || named === null || named === question.clientId
        if (!isOfQuestion) {
          const id = yield* clientIds.message(user.userId, roomId, named)
          if (id === undefined) return yield* new MessageNotFound()
          return yield* sending.regenerate(user, { roomId, id, settings })
        }
        const known = yield* clientIds.question(user.userId, roomId, question)
        if (known !== undefined) return yield* sending.regenerate(user, { roomId, id: known.id, settings })
        return yield* send(user, yield* prepare(user, request, question), keyOf(roomId, question.clientId))
      })

      /** Names the part of the request instead of the number of the file. */
      const namingParts = (question: Question, { errors }: ValidationFailed) => {
        const partOf = (path: string) => {
          const [, index] = /^\/attachments\/(\d+)$/.exec(path) ?? []
          return index === undefined ? path : (question.files[Number(index)]?.path ?? question.path)
        }
        return new ValidationFailed({ errors: errors.map(({ message, path }) => ({ path: partOf(path), message })) })
      }

      const submit: UiChat["Service"]["submit"] = Effect.fn("UiChat.submit")(function* (user, request) {
        const question = yield* Effect.fromResult(newestQuestion(request.messages))
        const submitted: Effect.Effect<Sent, Refusal> =
          request.trigger === "regenerate-message" ? answerAgain(user, request, question) : ask(user, request, question)
        return yield* submitted.pipe(
          Effect.catchTag("ValidationFailed", (refused) => Effect.fail(namingParts(question, refused)))
        )
      })

      return UiChat.of({ submit })
    })
  )
}

import { ByteSize, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AllowsKey, CacheControl, largeBody, noStore } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { refusalsWithoutLimits, room } from "../chat/ChatApi.ts"
import {
  AlreadyFinished,
  AnyLimitWithHeaders,
  ChatroomNotFound,
  MessageNotFound,
  NotAQuestion,
  NotFinished,
  quotaHeaders,
  TooManyBranches,
  TooManyChatrooms
} from "../chat/ChatErrors.ts"
import { Message, MessageId } from "../chat/Message.ts"
import { StreamsBusy, TooManyStreams } from "../chat/StreamErrors.ts"
import { describe } from "../Describe.ts"
import {
  AttachmentsNotInPlan,
  AttachmentsTooLarge,
  EmptyFile,
  FileTooLarge,
  FileTypeNotSupported,
  FileUnreadable,
  StorageFull,
  StorageUnavailable
} from "../files/FileErrors.ts"
import { Replayed } from "../Idempotency.ts"
import { integerFromText } from "../Schemas.ts"
import { UiMessages, UiRequest } from "./UiMessage.ts"

/** Bytes of a request, which has its files inside. */
export const maximumUiBody = ByteSize.mebibytes(16)

/** Messages of a chat that a client gets without `limit`. */
export const defaultUiMessages = 50

const stream = HttpApiSchema.StreamUint8Array({ contentType: "text/event-stream" })

/** The chat for Vercel's AI SDK: what `DefaultChatTransport` calls, and the messages that `useChat` begins with. */
export class AiSdkApi extends HttpApiGroup.make("aisdk")
  .add(
    HttpApiEndpoint.post("sendUiMessage", "/", {
      payload: UiRequest,
      success: HttpApiSchema.WithHeaders(stream, { ...Replayed, ...quotaHeaders }),
      error: [
        ChatroomNotFound,
        MessageNotFound,
        NotAQuestion,
        NotFinished,
        TooManyBranches,
        TooManyChatrooms,
        ...refusalsWithoutLimits,
        AnyLimitWithHeaders,
        AttachmentsNotInPlan,
        AttachmentsTooLarge,
        EmptyFile,
        FileTooLarge,
        FileTypeNotSupported,
        FileUnreadable,
        StorageFull,
        StorageUnavailable,
        StreamsBusy
      ]
    })
      .annotateMerge(
        describe(
          "sendUiMessage",
          "Ask with the AI SDK",
          "Asks the newest question of `messages`, and streams its reply as a UI message stream (`UIMessageChunk`). The question's id is its idempotency key: the same id and text get the same reply again. With `submit-message`, `messageId` is a question to edit, on a new branch; `regenerate-message` makes another reply. Files in `data:` URLs are stored as files of the user. The body may have 16 MiB and 200,000 values. A disconnect does not cancel the reply."
        )
      )
      .annotateMerge(largeBody(maximumUiBody, 200_000)),
    HttpApiEndpoint.get("resumeUiStream", "/:id/stream", {
      params: room,
      success: [stream, HttpApiSchema.NoContent.annotate({ description: "No reply is being made on the active branch." })],
      error: [ChatroomNotFound, TooManyStreams, StreamsBusy]
    }).annotateMerge(
      describe("resumeUiStream", "Resume with the AI SDK", "The running reply as a UI message stream, from its start.")
    ),
    HttpApiEndpoint.post("stopUiStream", "/:id/stop", {
      params: room,
      success: Message,
      error: [ChatroomNotFound, MessageNotFound, AlreadyFinished]
    }).annotateMerge(
      describe(
        "stopUiStream",
        "Stop a reply with the AI SDK",
        "Cancels the running reply and keeps the text written so far. The SDK's own `stop()` only disconnects, which does not cancel the reply."
      )
    ),
    HttpApiEndpoint.get("getUiMessages", "/:id", {
      params: room,
      query: {
        limit: Schema.optionalKey(
          integerFromText(1, 100).annotate({ description: "Messages at most.", default: defaultUiMessages })
        ),
        before: Schema.optionalKey(
          MessageId.annotate({ description: "Only messages before this one, which is on the active branch." })
        )
      },
      success: UiMessages,
      error: ChatroomNotFound
    }).annotateMerge(
      describe(
        "getUiMessages",
        "Get a chat for the AI SDK",
        "The initial `messages` of `useChat`: the newest ones of the active branch, oldest first. A reply that has not ended is omitted, because the stream delivers it. There can be fewer than `limit` messages when texts are long."
      )
    )
  )
  .prefix("/ai/chat")
  .middleware(Authorization)
  .annotate(AllowsKey, true)
  .annotate(CacheControl, noStore)
  .annotateMerge(OpenApi.annotations({ title: "AI SDK", description: "The chat for `useChat` of Vercel's AI SDK." })) {}

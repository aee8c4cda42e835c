import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AdmissionClass, AllowsKey, CacheControl, largeBody, noStore } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { describe } from "../Describe.ts"
import { IdempotencyKey, IdempotencyKeyReused, Replayed } from "../Idempotency.ts"
import { TooManyRequests } from "../Problems.ts"
import { ChatroomsLimited, TooManyChatrooms } from "./ChatErrors.ts"
import { Chatroom } from "./Chatroom.ts"
import { ImportChatroom, maximumImportBytes } from "./ImportChatroom.ts"

export class ImportApi extends HttpApiGroup.make("import")
  .add(
    HttpApiEndpoint.post("importChatroom", "/import", {
      headers: IdempotencyKey,
      payload: ImportChatroom,
      success: HttpApiSchema.WithHeaders(
        Chatroom.annotate({ identifier: "ImportedChatroom", description: "The new room." }).pipe(HttpApiSchema.status(201)),
        { location: Schema.String, ...Replayed }
      ),
      error: [TooManyChatrooms, ChatroomsLimited, IdempotencyKeyReused, TooManyRequests]
    })
      .annotateMerge(
        describe(
          "importChatroom",
          "Import a chatroom",
          "Creates a room from an export in JSON, of one branch or of all: at most 2,000 messages, 8 MiB and 400,000 values. It takes no quota. Texts, thoughts, models, sources and times are imported; ids, usage, costs and feedback are not. A reply that had not ended becomes cancelled. A model, level or tool that the user cannot choose becomes the default. Of files that the user does not have, only the names are kept. A user may run one import at a time, and 20 an hour."
        )
      )
      .annotate(AdmissionClass, "uploading")
      .annotateMerge(largeBody(maximumImportBytes, 400_000))
  )
  .prefix("/chatroom")
  .middleware(Authorization)
  .annotate(CacheControl, noStore)
  .annotate(AllowsKey, true)
  .annotateMerge(OpenApi.annotations({ title: "Import", description: "Chatrooms from exports." })) {}

import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AllowsKey, CacheControl, noStore } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { describe } from "../Describe.ts"
import { room } from "./ChatApi.ts"
import { ChatroomNotFound, SummaryNotFound } from "./ChatErrors.ts"
import { RoomSummary } from "./RoomSummary.ts"

export class SummariesApi extends HttpApiGroup.make("summaries")
  .add(
    HttpApiEndpoint.get("getSummary", "/:id/summary", {
      params: room,
      success: RoomSummary,
      error: [ChatroomNotFound, SummaryNotFound]
    }).annotateMerge(
      describe(
        "getSummary",
        "Get the summary of a long chatroom",
        "When a room's messages no longer fit into a prompt, a job summarises the oldest ones. Prompts of the branch that has `upTo` contain the summary instead of the omitted messages."
      )
    ),
    HttpApiEndpoint.delete("deleteSummary", "/:id/summary", {
      params: room,
      success: HttpApiSchema.NoContent,
      error: ChatroomNotFound
    })
      .annotateMerge(
        describe(
          "deleteSummary",
          "Delete the summary of a chatroom",
          "The next summary is made from the messages again. A summary in progress is discarded."
        )
      )
      .annotate(AllowsKey, false)
  )
  .prefix("/chatroom")
  .middleware(Authorization)
  .annotate(CacheControl, noStore)
  .annotate(AllowsKey, true)
  .annotateMerge(OpenApi.annotations({ title: "Summaries", description: "Summaries of long chatrooms." })) {}

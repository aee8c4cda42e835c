import { Schema } from "effect"
import { TooManyAttempts } from "../auth/AuthErrors.ts"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { CacheControl, noStore } from "../Annotations.ts"
import { BillingUnavailable } from "../billing/BillingErrors.ts"
import { withThoughts } from "../chat/ChatApi.ts"
import { describe } from "../Describe.ts"
import { ada } from "../Examples.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { Email, Name } from "../auth/User.ts"
import { AcceptsTicket, Ticket, withTicket } from "../Ticket.ts"
import { TooManyRequests } from "../Problems.ts"
import { Me } from "./Me.ts"
import { DayOfUsage, exampleDay } from "./Usage.ts"
import { UserExport } from "./UserExport.ts"

export class UserApi extends HttpApiGroup.make("user")
  .add(
    HttpApiEndpoint.get("me", "/me", { success: Me }).annotateMerge(
      describe("getMe", "Get the user, tier and today's quota", "The quota resets at midnight UTC.")
    ),
    HttpApiEndpoint.patch("updateMe", "/me", {
      payload: Schema.Struct({
        name: Schema.optionalKey(Schema.NullOr(Name)),
        email: Schema.optionalKey(Schema.NullOr(Email))
      }).annotate({ identifier: "UpdateMe", examples: [{ name: ada.name, email: ada.email }] }),
      success: Me,
      error: TooManyAttempts
    }).annotateMerge(describe("updateMe", "Change the name or e-mail", "Set to null to remove the value.")),
    HttpApiEndpoint.delete("deleteMe", "/me", { success: HttpApiSchema.NoContent, error: BillingUnavailable }).annotateMerge(
      describe(
        "deleteMe",
        "Delete the account",
        "Deletes all rooms and messages. A subscription is canceled immediately, without a refund. While Stripe cannot be reached, nothing is deleted and nothing is canceled."
      )
    ),
    HttpApiEndpoint.get("exportMe", "/me/export", {
      query: { ...withThoughts, ...withTicket },
      success: HttpApiSchema.WithHeaders(UserExport, { "content-disposition": Schema.String }),
      error: TooManyRequests
    })
      .annotateMerge(
        describe(
          "exportMe",
          "Export all of the user's data",
          "One JSON file, streamed. A user may run one export at a time, of the account or of a room; further ones wait up to three seconds, then get 429."
        )
      )
      .annotate(AcceptsTicket, "download"),
    HttpApiEndpoint.post("createExportTicket", "/me/export-ticket", {
      success: Ticket.pipe(HttpApiSchema.status(201)),
      error: TooManyAttempts
    }).annotateMerge(
      describe(
        "createExportTicket",
        "Create a ticket for the export of the account",
        "For a download that a browser starts from a link. The ticket is valid for one request within 60 seconds. A user may create 300 tickets an hour."
      )
    ),
    HttpApiEndpoint.get("usage", "/usage", {
      success: Schema.Struct({ data: Schema.Array(DayOfUsage) }).annotate({
        identifier: "UsageByDay",
        description: "The days with at least one prompt.",
        examples: [{ data: [exampleDay] }]
      })
    }).annotateMerge(describe("getUsage", "List prompts and tokens by UTC day", "The last three months, newest first."))
  )
  .prefix("/user")
  .middleware(Authorization)
  .annotate(CacheControl, noStore)
  .annotateMerge(OpenApi.annotations({ title: "User", description: "Profile, usage and data of the logged-in user." })) {}

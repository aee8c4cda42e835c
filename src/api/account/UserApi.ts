import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { BillingUnavailable } from "../billing/BillingErrors.ts"
import { describe } from "../Describe.ts"
import { ada } from "../Examples.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { Email, Name } from "../auth/User.ts"
import { Me } from "./Me.ts"
import { DayOfUsage, exampleDay } from "./Usage.ts"
import { UserExport } from "./UserExport.ts"

export class UserApi extends HttpApiGroup.make("user")
  .add(
    HttpApiEndpoint.get("me", "/me", { success: Me }).annotateMerge(
      describe("getMe", "The user, tier and today's quota", "The quota begins anew with every UTC day.")
    ),
    HttpApiEndpoint.patch("updateMe", "/me", {
      payload: Schema.Struct({
        name: Schema.optionalKey(Schema.NullOr(Name)),
        email: Schema.optionalKey(Schema.NullOr(Email))
      }).annotate({ identifier: "UpdateMe", examples: [{ name: ada.name, email: ada.email }] }),
      success: Me
    }).annotateMerge(describe("updateMe", "Change name or e-mail", "Null clears.")),
    HttpApiEndpoint.delete("deleteMe", "/me", { success: HttpApiSchema.NoContent, error: BillingUnavailable }).annotateMerge(
      describe("deleteMe", "Delete the account", "With all rooms and messages. A subscription is ended first, at once.")
    ),
    HttpApiEndpoint.get("exportMe", "/me/export", {
      success: HttpApiSchema.WithHeaders(UserExport, { "content-disposition": Schema.String })
    }).annotateMerge(describe("exportMe", "All the user's own data", "As one file, sent in pieces.")),
    HttpApiEndpoint.get("usage", "/usage", {
      success: Schema.Struct({ data: Schema.Array(DayOfUsage) }).annotate({
        identifier: "UsageByDay",
        description: "The days on which something was asked.",
        examples: [{ data: [exampleDay] }]
      })
    }).annotateMerge(describe("getUsage", "Prompts and tokens by UTC day", "The last three months, the newest first."))
  )
  .prefix("/user")
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "User", description: "Profile, usage and data of the one who is logged in." })) {}

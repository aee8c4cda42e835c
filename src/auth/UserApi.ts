import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { BillingUnavailable } from "../billing/BillingErrors.ts"
import { describe } from "../http/Describe.ts"
import { Authorization } from "./AuthApi.ts"
import { DayOfUsage, Email, Me, Name } from "./User.ts"

export class UserApi extends HttpApiGroup.make("user")
  .add(
    HttpApiEndpoint.get("me", "/me", { success: Me }).annotateMerge(describe("getMe", "The user, tier and today's quota")),
    HttpApiEndpoint.patch("updateMe", "/me", {
      payload: Schema.Struct({
        name: Schema.optionalKey(Schema.NullOr(Name)),
        email: Schema.optionalKey(Schema.NullOr(Email))
      }).annotate({ identifier: "UpdateMe" }),
      success: Me
    }).annotateMerge(describe("updateMe", "Change name or e-mail", "Null clears.")),
    HttpApiEndpoint.delete("deleteMe", "/me", { success: HttpApiSchema.NoContent, error: BillingUnavailable }).annotateMerge(
      describe("deleteMe", "Delete the account", "With all rooms and messages. A subscription is ended first, at once.")
    ),
    HttpApiEndpoint.get("exportMe", "/me/export", {
      success: HttpApiSchema.StreamUint8Array({ contentType: "application/json" })
    }).annotateMerge(describe("exportMe", "All the user's own data")),
    HttpApiEndpoint.get("usage", "/usage", {
      success: Schema.Struct({ data: Schema.Array(DayOfUsage) }).annotate({ identifier: "UsageByDay" })
    }).annotateMerge(describe("getUsage", "Prompts and tokens by UTC day", "The last three months, the newest first."))
  )
  .prefix("/user")
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "User", description: "The one who is logged in." })) {}

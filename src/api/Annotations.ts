import { ByteSize, Context } from "effect"
import { HttpApi } from "effect/http-api"

/** Annotations of endpoints for the server. An annotation of a group is valid for all of its endpoints. */

/** The `Cache-Control` of every response of an endpoint, refusals included, except a response that sets its own. */
export const CacheControl = Context.Reference<string | undefined>("chat-backend/api/CacheControl", {
  defaultValue: () => undefined
})

/** The `CacheControl` of endpoints whose responses hold a person's data: no cache stores them, the browser's included. */
export const noStore = "private, no-store"

/**
 * The limit on concurrent requests that an endpoint counts against: `operating` (probes, metrics) and `webhook` have their
 * own, so that they are served when everything else is refused. `uploading` is for bodies that are streamed for minutes;
 * `unlimited` is never refused.
 */
export type AdmissionClass = "working" | "operating" | "webhook" | "uploading" | "unlimited"

export const AdmissionClass = Context.Reference<AdmissionClass>("chat-backend/api/AdmissionClass", {
  defaultValue: () => "working"
})

/** The largest JSON body of an endpoint. */
export const MaximumBody = Context.Reference<ByteSize.ByteSize>("chat-backend/api/MaximumBody", {
  defaultValue: () => ByteSize.kibibytes(256)
})

/**
 * The most values of an endpoint's JSON body, members and elements of arrays at all levels together: decoding costs more for
 * many small values than for many bytes.
 */
export const MaximumValues = Context.Reference<number>("chat-backend/api/MaximumValues", { defaultValue: () => 10_000 })

/**
 * Adds to an endpoint that takes large bodies: how many values one may have, and that a refusal names the first fault alone,
 * because the faults of hundreds of thousands of values would keep a process busy for minutes.
 */
export const largeBody = (maximumBody: ByteSize.ByteSize, maximumValues: number) =>
  Context.make(MaximumBody, maximumBody).pipe(
    Context.add(MaximumValues, maximumValues),
    Context.add(HttpApi.PayloadParseOptions, { errors: "first" })
  )

/** Whether a recovery session may call the endpoint. A recovery session may call no other endpoint. */
export const AllowsRecovery = Context.Reference<boolean>("chat-backend/api/AllowsRecovery", { defaultValue: () => false })

/** Whether an API key may call the endpoint. */
export const AllowsKey = Context.Reference<boolean>("chat-backend/api/AllowsKey", { defaultValue: () => false })

/** Whether the refresh cookie may stand in for a missing or expired access token. */
export const AllowsRefreshCookie = Context.Reference<boolean>("chat-backend/api/AllowsRefreshCookie", {
  defaultValue: () => false
})

/** Whether a browser that opens the endpoint's address without a token gets a page instead of a refusal. */
export const ShowsPage = Context.Reference<boolean>("chat-backend/api/ShowsPage", { defaultValue: () => false })

/** Whether the endpoint answers when a reply has ended, and not sooner. */
export const AwaitsReply = Context.Reference<boolean>("chat-backend/api/AwaitsReply", { defaultValue: () => false })

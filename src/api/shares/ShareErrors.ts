import { HttpApiError } from "effect/http-api"
import { problem } from "../Problem.ts"
import { Count } from "../Schemas.ts"

/** Also the answer for a link that has expired, was revoked, or whose room was deleted. */
export class ShareNotFound extends HttpApiError.Problem<ShareNotFound>()(
  "ShareNotFound",
  ...problem("share_not_found", 404, "Shared link not found")
) {}

export class NothingToShare extends HttpApiError.Problem<NothingToShare>()(
  "NothingToShare",
  ...problem("nothing_to_share", 409, "The chatroom has no completed reply to share")
) {}

export class TooManyShares extends HttpApiError.Problem<TooManyShares>()(
  "TooManyShares",
  ...problem("too_many_shares", 409, "Too many shared links", {
    limit: Count.annotate({ description: "Live links a user may have.", examples: [100] })
  })
) {}

export class ShareTooLarge extends HttpApiError.Problem<ShareTooLarge>()(
  "ShareTooLarge",
  ...problem("share_too_large", 409, "The conversation is too large to be copied", {
    limit: Count.annotate({ description: "Messages that a copy may have.", examples: [2_000] })
  })
) {}

/** `SHARING=off`. */
export class SharingOff extends HttpApiError.Problem<SharingOff>()("SharingOff", ...problem("not_found", 404, "No such route")) {}

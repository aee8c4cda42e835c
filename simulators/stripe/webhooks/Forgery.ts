import { apiVersion } from "../ApiVersion.ts"
import type { Event } from "../objects/Event.ts"
import { realSeconds, sign } from "./Signature.ts"

/** The ways in which a delivery is wrong. */
export const forgeries = [
  "wrong_secret",
  "altered",
  "old",
  "future",
  "no_header",
  "v0_only",
  "thin",
  "not_json",
  "other_mode",
  "other_version"
] as const

export type Forgery = (typeof forgeries)[number]

export interface Forged {
  readonly body: string
  readonly signature: string | null
}

/** More than the 300 seconds that Stripe's libraries allow. */
const skewSeconds = 400

/** A forged delivery of the event. From `thin` on the signature is valid, and the body is wrong. */
export const forge = (kind: Forgery, event: Event, secrets: ReadonlyArray<string>): Forged => {
  const body = JSON.stringify(event, null, 2)
  const signed = (text: string): Forged => ({ body: text, signature: sign(text, secrets) })
  switch (kind) {
    case "wrong_secret":
      return { body, signature: sign(body, ["whsec_of_somebody_else"]) }
    case "altered":
      return { body: body.replace(event.id, "evt_altered"), signature: sign(body, secrets) }
    case "old":
      return { body, signature: sign(body, secrets, realSeconds() - skewSeconds) }
    case "future":
      return { body, signature: sign(body, secrets, realSeconds() + skewSeconds) }
    case "no_header":
      return { body, signature: null }
    case "v0_only":
      return { body, signature: sign(body, secrets, realSeconds(), "v0") }
    case "thin":
      return signed(JSON.stringify(thin(event)))
    case "not_json":
      return signed("{not json")
    case "other_mode":
      return signed(JSON.stringify({ ...event, livemode: !event.livemode }))
    case "other_version":
      return signed(JSON.stringify({ ...event, api_version: apiVersion.replace("2026", "2022") }))
  }
}

/** https://docs.stripe.com/event-destinations#thin-events */
const thin = ({ created, data, id, livemode, type }: Event) => {
  const relatedId = "id" in data.object ? String(data.object.id) : ""
  return {
    id,
    object: "v2.core.event",
    type: `v1.${type}`,
    livemode,
    created: new Date(created * 1000).toISOString(),
    context: null,
    related_object: { id: relatedId, type: type.split(".")[0], url: `/v1/${type.split(".")[0]}s/${relatedId}` }
  }
}

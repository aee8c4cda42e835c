import { apiVersion } from "../ApiVersion.ts"
import { type Birth, initially, makeId } from "./Base.ts"

export type WebhookEndpoint = ReturnType<typeof makeWebhookEndpoint>

interface EndpointInput {
  readonly id?: string | undefined
  readonly url: string
  readonly enabledEvents: ReadonlyArray<string>
  readonly description: string | null
  readonly metadata: Record<string, string>
}

/** https://docs.stripe.com/api/webhook_endpoints/object. Its secret is stored separately and shown once. */
export const makeWebhookEndpoint = ({ created, livemode }: Birth, input: EndpointInput) => ({
  id: input.id ?? makeId("we"),
  object: "webhook_endpoint" as const,
  api_version: apiVersion,
  application: null,
  created,
  description: input.description,
  enabled_events: input.enabledEvents,
  livemode,
  metadata: input.metadata,
  status: initially<"enabled" | "disabled">("enabled"),
  url: input.url
})

/** The secrets that sign an endpoint's deliveries. After a roll the old one signs, too, until it expires. */
export interface EndpointSecrets {
  readonly current: string
  readonly old: string | null
  /** Seconds since 1970, of real time. */
  readonly oldEndsAt: number
}

/** The secrets that sign now, newest first. */
export const activeSecrets = ({ current, old, oldEndsAt }: EndpointSecrets): ReadonlyArray<string> =>
  old !== null && oldEndsAt > Date.now() / 1000 ? [current, old] : [current]

/** Whether the endpoint wants events of this type. */
export const isSubscribed = ({ enabled_events, status }: WebhookEndpoint, type: string) =>
  status === "enabled" && enabled_events.some((wanted) => wanted === "*" || wanted === type)

import { API_VERSION } from "../ApiVersion.ts"
import { makeId } from "./Base.ts"
import type { Birth } from "./Base.ts"

export type WebhookEndpoint = ReturnType<typeof makeWebhookEndpoint>

interface EndpointInput {
  readonly id?: string
  readonly url: string
  readonly enabledEvents: ReadonlyArray<string>
  readonly description: string | null
  readonly metadata: Record<string, string>
}

/** https://docs.stripe.com/api/webhook_endpoints/object. Its secret is kept apart and shown once. */
export const makeWebhookEndpoint = ({ created, livemode }: Birth, input: EndpointInput) => ({
  id: input.id ?? makeId("we"),
  object: "webhook_endpoint" as const,
  api_version: API_VERSION,
  application: null,
  created,
  description: input.description,
  enabled_events: input.enabledEvents,
  livemode,
  metadata: input.metadata,
  status: "enabled" as "enabled" | "disabled",
  url: input.url
})

/** What signs an endpoint's deliveries. After a roll the old secret signs too, until it ends. */
export interface EndpointSecrets {
  readonly current: string
  readonly old: string | null
  /** Seconds since 1970, of real time. */
  readonly oldEndsAt: number
}

/** Every secret that signs now, the newest first. */
export const activeSecrets = ({ current, old, oldEndsAt }: EndpointSecrets): ReadonlyArray<string> =>
  old !== null && oldEndsAt > Date.now() / 1000 ? [current, old] : [current]

/** Whether the endpoint wants events of this type. */
export const isSubscribed = ({ enabled_events, status }: WebhookEndpoint, type: string) =>
  status === "enabled" && enabled_events.some((wanted) => wanted === "*" || wanted === type)

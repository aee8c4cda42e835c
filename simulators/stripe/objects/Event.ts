import { API_VERSION } from "../ApiVersion.ts"
import { makeId } from "./Base.ts"
import type { Birth } from "./Base.ts"

export type Event = ReturnType<typeof makeEvent>

interface EventInput {
  readonly type: string
  readonly object: object
  /** What an update changed, as it was before. */
  readonly previous: object | undefined
  /** The request that caused it; `{ id: null }` when it was a page or the clock. */
  readonly request: { readonly id: string | null; readonly idempotency_key: string | null }
  readonly pendingWebhooks: number
}

/** https://docs.stripe.com/api/events/object */
export const makeEvent = ({ created, livemode }: Birth, input: EventInput) => ({
  id: makeId("evt"),
  object: "event" as const,
  api_version: API_VERSION,
  created,
  data: { object: input.object, ...(input.previous && { previous_attributes: input.previous }) },
  livemode,
  pending_webhooks: input.pendingWebhooks,
  request: input.request,
  type: input.type
})

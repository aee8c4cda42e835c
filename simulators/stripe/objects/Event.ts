import { apiVersion } from "../ApiVersion.ts"
import { type Birth, makeId } from "./Base.ts"

export type Event = ReturnType<typeof makeEvent>

interface EventInput {
  readonly type: string
  readonly object: object
  /** The previous values of what an update changed. */
  readonly previous: object | undefined
  /** The request that caused it; `{ id: null }` for a page or the clock. */
  readonly request: { readonly id: string | null; readonly idempotency_key: string | null }
  readonly pendingWebhooks: number
}

/** https://docs.stripe.com/api/events/object */
export const makeEvent = ({ created, livemode }: Birth, input: EventInput) => ({
  id: makeId("evt"),
  object: "event" as const,
  api_version: apiVersion,
  created,
  data: { object: input.object, ...(input.previous && { previous_attributes: input.previous }) },
  livemode,
  pending_webhooks: input.pendingWebhooks,
  request: input.request,
  type: input.type
})

import { computed, signal } from "@preact/signals"
import { call, idempotencyKey } from "../api/client.ts"
import type { ResponseOf } from "../api/contract.ts"

export type Me = ResponseOf<"GET /user/me">
export type Quota = Me["quota"]
export type Subscription = ResponseOf<"GET /subscription/status">
export type Session = ResponseOf<"GET /auth/sessions">["data"][number]
export type Day = ResponseOf<"GET /user/usage">["data"][number]
type Listed = Exclude<ResponseOf<"GET /models">, void>
export type ModelInfo = Listed["data"][number]
type ListedPlans = Exclude<ResponseOf<"GET /plans">, void>
export type PlanInfo = ListedPlans["data"][number]
export type Invoice = ResponseOf<"GET /subscription/invoices">["data"][number]

export const me = signal<Me | undefined>(undefined)
export const plans = signal<ReadonlyArray<PlanInfo>>([])
export const models = signal<ReadonlyArray<ModelInfo>>([])
export const defaultModel = computed(() => models.value.find((model) => model.default))

export const loadMe = async (): Promise<void> => {
  me.value = await call("GET /user/me", {})
}

/** The quota that comes with the answer to a question. */
export const setQuota = (quota: Quota): void => {
  if (me.value !== undefined) me.value = { ...me.value, quota, budget: quota.budget }
}

export const loadModels = async (): Promise<void> => {
  const list = await call("GET /models", {})
  if (list !== undefined) models.value = list.data
}

export const loadUsage = async (): Promise<ReadonlyArray<Day>> => (await call("GET /user/usage", {})).data
export const loadSubscription = (): Promise<Subscription> => call("GET /subscription/status", {})
export const loadSessions = async (): Promise<ReadonlyArray<Session>> =>
  (await call("GET /auth/sessions", { query: { limit: 100 } })).data
export const endSession = (id: string): Promise<void> => call("DELETE /auth/sessions/:id", { params: { id } })

/** Basic, and what is sold. Prices are not needed to see one's own plan, so their absence is no failure. */
export const loadPlans = async (): Promise<void> => {
  const list = await call("GET /plans", {}).catch(() => undefined)
  if (list !== undefined) plans.value = list.data
}

/** The name of a tier; before the plans are loaded, and for one that is no longer sold, its id. */
export const tierName = (tier: string): string =>
  plans.value.find(({ id }) => id === tier)?.name ?? `${tier.slice(0, 1).toUpperCase()}${tier.slice(1)}`

/** The newest invoices. A user who was never synced with Stripe has none. */
export const loadInvoices = async (): Promise<ReadonlyArray<Invoice>> =>
  (await loadSubscription()).syncedAt === null ? [] : (await call("GET /subscription/invoices", { query: { limit: 24 } })).data

/** The page at Stripe where the user pays. */
export const openCheckout = async (plan: string, interval: string): Promise<string> => {
  const body = interval === "year" ? { interval: "year" as const } : { interval: "month" as const }
  return (await call("POST /subscribe/:plan", { params: { plan }, headers: idempotencyKey(), body })).checkoutUrl
}
export const openPortal = async (): Promise<string> => (await call("POST /subscription/portal", {})).url
export const cancelSubscription = (): Promise<Subscription> => call("POST /subscription/cancel", {})
export const reactivate = (): Promise<Subscription> => call("POST /subscription/reactivate", {})

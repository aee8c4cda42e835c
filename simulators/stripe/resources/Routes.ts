import { catalogRoutes } from "./Catalog.ts"
import { checkoutRoutes } from "./CheckoutSessions.ts"
import { couponRoutes } from "./Coupons.ts"
import { customerRoutes } from "./Customers.ts"
import { eventRoutes } from "./Events.ts"
import { invoiceRoutes } from "./Invoices.ts"
import { paymentRoutes } from "./Payments.ts"
import { portalRoutes } from "./PortalSessions.ts"
import { subscriptionRoutes } from "./Subscriptions.ts"
import { taxRoutes } from "./Tax.ts"
import { endpointRoutes } from "./WebhookEndpoints.ts"
import type { Route } from "../wire/Route.ts"

/** Every route of the API. */
export const routes: ReadonlyArray<Route> = [
  ...customerRoutes,
  ...catalogRoutes,
  ...checkoutRoutes,
  ...subscriptionRoutes,
  ...portalRoutes,
  ...couponRoutes,
  ...taxRoutes,
  ...invoiceRoutes,
  ...paymentRoutes,
  ...eventRoutes,
  ...endpointRoutes
]

const patterns = routes.map((route) => ({
  route,
  pattern: new RegExp(`^${route.path.replace(":id", "([^/]+)")}$`)
}))

/** The route of this path, and the id in the path. */
export const findRoute = (method: string, path: string): { readonly route: Route; readonly id: string } | undefined => {
  for (const { pattern, route } of patterns) {
    const match = route.method === method ? pattern.exec(path) : null
    if (match) return { route, id: match[1] ?? "" }
  }
  return undefined
}

/**
 * A stand-in for Stripe: an HTTP server on loopback that speaks Stripe's wire of API version 2026-10-28.endive, so the
 * real SDK works against it unmodified (`new Stripe(key, { host, port, protocol: "http" })`), and a person can click
 * through its pages.
 *
 * - /v1: customers, products, prices, checkout sessions (mode `subscription`), subscriptions, portal sessions, invoices,
 *   invoice payments, payment intents, charges, refunds, disputes, events, webhook endpoints. The table is in
 *   stripe/resources/Routes.ts. A parameter that is not simulated is refused as unknown, never ignored.
 * - Pages: /pay/cs_… (checkout), /portal/bps_… (customer portal), /invoice/in_… (hosted invoice).
 * - Webhooks, signed, to the endpoints of the options and of the API, with retries.
 * - Control: `POST /__control/<method>`, the same as the methods of the handle (StripeSimulatorControl).
 *
 * A subscription has one item and no trial; tax, discounts, payment methods as objects, and quantity or price changes
 * are not simulated. Time is real time plus what `advance` added; webhook signatures always carry real time.
 */
import { createServer } from "node:http"
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"
import { makeControl } from "./control/Control.ts"
import type { StripeSimulatorControl } from "./control/Control.ts"
import { handle } from "./Server.ts"
import { defaultSettings } from "./Settings.ts"
import type { Settings } from "./Settings.ts"
import { Simulation } from "./Simulation.ts"
import type { Snapshot, WebhookOption } from "./Simulation.ts"

export type { StripeSimulatorControl } from "./control/Control.ts"
export type { Snapshot, WebhookOption } from "./Simulation.ts"

export interface StripeSimulatorOptions extends Partial<Settings> {
  /** A free port when absent. */
  readonly port?: number
  readonly host?: string
  readonly webhooks?: ReadonlyArray<WebhookOption>
  /** What an earlier simulator remembered; the endpoints of its options give way to these. */
  readonly snapshot?: Snapshot
}

export interface StripeSimulator extends StripeSimulatorControl {
  readonly url: string
  readonly host: string
  readonly port: number
  /** The ready-made recurring price. */
  readonly priceId: string
  /** Closes the port and every connection; nothing is delivered any more. */
  stop(): Promise<void>
}

/** How often the clock is looked at when nobody calls. */
const TICK_MILLIS = 1000

export const startStripeSimulator = async (options: StripeSimulatorOptions = {}): Promise<StripeSimulator> => {
  const { host = "127.0.0.1", port = 0, snapshot, webhooks = [], ...given } = options
  const settings = { ...defaultSettings, livemode: given.secretKey?.startsWith("sk_live_") ?? false, ...given }
  const simulation = new Simulation(settings, webhooks)
  const control = makeControl(simulation)
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    void handle(simulation, control, request, response)
  })
  await listen(server, port, host)
  const address = server.address() as AddressInfo
  const url = `http://${host}:${address.port}`
  simulation.account.url = url
  simulation.reset()
  if (snapshot) {
    simulation.restore(snapshot)
    simulation.addEndpoints()
  }
  const ticking = setInterval(() => simulation.tick(), TICK_MILLIS)
  return {
    ...control,
    url,
    host,
    port: address.port,
    priceId: settings.priceId,
    stop: () =>
      new Promise((resolve) => {
        clearInterval(ticking)
        simulation.webhooks.clear()
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

const listen = (server: Server, port: number, host: string) =>
  new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen({ port, host, backlog: 4096 }, () => {
      server.off("error", reject)
      resolve()
    })
  })

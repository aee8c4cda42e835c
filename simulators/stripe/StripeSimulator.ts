/**
 * A simulator of Stripe: an HTTP server on loopback with Stripe's API of version 2026-10-28.endive, so the real SDK works
 * against it unmodified (`new Stripe(key, { host, port, protocol: "http" })`), and with pages to click through.
 *
 * - /v1: customers, products, prices, checkout sessions (mode `subscription`), subscriptions, portal sessions, invoices,
 *   coupons, promotion codes, tax settings, invoice payments, payment intents, charges, refunds, disputes, events, webhook endpoints. The routes are in
 *   resources/Routes.ts. A parameter that is not simulated is refused as unknown, never ignored.
 * - Pages: /pay/cs_… (checkout), /portal/bps_… (customer portal), /invoice/in_… (hosted invoice).
 * - Webhooks, signed, to the endpoints of the options and of the API, with retries.
 * - Control: `POST /__control/<method>`, the same as the methods of the handle (StripeSimulatorControl).
 *
 * A subscription has one item; tax has one rate everywhere; payment methods as objects, and changes of the quantity, are not
 * simulated. Time is real time plus what `advance` added; webhook signatures always carry real time.
 */
import { createServer, type Server } from "node:http"
import { makeControl, type StripeSimulatorControl } from "./control/Control.ts"
import { handle } from "./Server.ts"
import { defaultSettings, type Settings } from "./Settings.ts"
import { Simulation, type Snapshot, type WebhookOption } from "./Simulation.ts"

export type { StripeSimulatorControl } from "./control/Control.ts"
export type { Snapshot, WebhookOption } from "./Simulation.ts"

export interface StripeSimulatorOptions extends Partial<Settings> {
  /** A free port when absent. */
  readonly port?: number | undefined
  readonly host?: string | undefined
  readonly webhooks?: ReadonlyArray<WebhookOption> | undefined
  /** The state of an earlier simulator; the endpoints of this one's options replace those of its options. */
  readonly snapshot?: Snapshot | undefined
}

export interface StripeSimulator extends StripeSimulatorControl {
  readonly url: string
  readonly host: string
  readonly port: number
  /** The ready-made recurring price. */
  readonly priceId: string
  /** Closes the port and every connection, and stops all deliveries. */
  stop(): Promise<void>
}

/** How often due events run while no request arrives. */
const tickMillis = 1000

export const startStripeSimulator = async (options: StripeSimulatorOptions = {}): Promise<StripeSimulator> => {
  const { host = "127.0.0.1", port: wantedPort = 0, snapshot, webhooks = [], ...given } = options
  const settings = { ...defaultSettings, livemode: given.secretKey?.startsWith("sk_live_") ?? false, ...given }
  const simulation = new Simulation(settings, webhooks)
  const control = makeControl(simulation)
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    void handle(simulation, control, request, response)
  })
  const port = await listen(server, wantedPort, host)
  const url = `http://${host}:${port}`
  simulation.account.url = url
  simulation.reset()
  if (snapshot) {
    simulation.restore(snapshot)
    simulation.addEndpoints()
  }
  const ticking = setInterval(() => simulation.tick(), tickMillis)
  return {
    ...control,
    url,
    host,
    port,
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

/** Listens, and answers the port. */
const listen = (server: Server, port: number, host: string) =>
  new Promise<number>((resolve, reject) => {
    server.once("error", reject)
    server.listen({ port, host, backlog: 4096 }, () => {
      server.off("error", reject)
      const address = server.address()
      resolve(typeof address === "object" && address !== null ? address.port : port)
    })
  })

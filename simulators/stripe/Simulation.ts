import { Account } from "./Account.ts"
import { runDue } from "./billing/Due.ts"
import { FaultBook } from "./control/FaultBook.ts"
import { RequestLog } from "./control/RequestLog.ts"
import { makePrice, makeProduct } from "./objects/Catalog.ts"
import { makeTaxRegistration } from "./objects/Tax.ts"
import { addEndpoint } from "./resources/WebhookEndpoints.ts"
import type { CatalogPrice, Settings } from "./Settings.ts"
import { emptyState, type State } from "./State.ts"
import { Webhooks } from "./webhooks/Webhooks.ts"

/** The prefix of the ids of the endpoints that come from the options. */
const optionPrefix = "we_option_"

/** An endpoint that exists from the start, and again after a reset. */
export interface WebhookOption {
  readonly url: string
  readonly secret: string
  /** All types when absent. */
  readonly enabledEvents?: ReadonlyArray<string> | undefined
}

/** A copy of the account's state: plain JSON, so it can be written to a file. */
export interface Snapshot {
  /** The base URL of the pages that its links lead to. */
  readonly url: string
  readonly state: State
}

/** The account with its webhooks, faults and request log. */
export class Simulation {
  readonly account: Account
  readonly webhooks: Webhooks
  readonly faults = new FaultBook()
  readonly requests = new RequestLog()
  private readonly endpoints: ReadonlyArray<WebhookOption>

  constructor(settings: Settings, endpoints: ReadonlyArray<WebhookOption>) {
    this.account = new Account(settings)
    this.webhooks = new Webhooks(this.account)
    this.account.onEvent = (event) => this.webhooks.publish(event)
    this.endpoints = endpoints
  }

  /** Runs what is due; called before every request and by a timer. */
  tick() {
    runDue(this.account)
  }

  /** Moves the simulated clock; everything that becomes due runs in order. */
  advance(seconds: number) {
    this.account.state.offsetMillis += seconds * 1000
    this.tick()
  }

  /** Restores the initial state: the ready-made price, the endpoints of the options, real time. */
  reset() {
    this.load(emptyState())
    this.addEndpoints()
  }

  snapshot(): Snapshot {
    return { url: this.account.url, state: structuredClone(this.account.state) }
  }

  /** Drops pending deliveries; the links in the snapshot change to this simulator's base URL. */
  restore({ state, url }: Snapshot) {
    const text = JSON.stringify(state)
    this.load(JSON.parse(url === "" ? text : text.replaceAll(url, this.account.url)))
  }

  private load(state: State) {
    const { account } = this
    this.webhooks.clear()
    this.faults.clear()
    this.requests.clear()
    account.state = state
    this.addCatalog()
  }

  /** Adds the endpoints of the options, instead of those of an earlier simulator's options. */
  addEndpoints() {
    const { account } = this
    for (const endpoint of account.all("webhook_endpoint")) if (endpoint.id.startsWith(optionPrefix)) account.remove(endpoint)
    for (const [index, { enabledEvents = ["*"], secret, url }] of this.endpoints.entries())
      addEndpoint(account, { id: `${optionPrefix}${index}`, url, secret, enabledEvents })
  }

  private addCatalog() {
    const { account } = this
    const { otherPrices, priceId, productId, productName, taxCountries, unitAmount } = account.settings
    const first = { priceId, productId, productName, unitAmount, interval: "month" as const }
    for (const price of [first, ...otherPrices]) this.addPrice(price)
    const registered = new Set(account.all("tax.registration").map(({ country }) => country))
    for (const country of taxCountries) if (!registered.has(country)) account.add(makeTaxRegistration(account.birth(), country))
  }

  private addPrice({ interval, priceId, productId, productName, unitAmount }: CatalogPrice) {
    const { account } = this
    const { currency, taxBehavior } = account.settings
    if (!account.find("product", productId))
      account.add(makeProduct(account.birth(), { id: productId, name: productName, metadata: {} }))
    if (account.find("price", priceId)) return
    const recurring = { interval, intervalCount: 1 }
    const input = { id: priceId, product: productId, currency, unitAmount, recurring, taxBehavior, metadata: {} }
    account.add(makePrice(account.birth(), input))
  }
}

import { Account } from "./Account.ts"
import { runDue } from "./billing/Due.ts"
import { FaultBook } from "./control/FaultBook.ts"
import { RequestLog } from "./control/RequestLog.ts"
import { makePrice, makeProduct } from "./objects/Catalog.ts"
import { addEndpoint } from "./resources/WebhookEndpoints.ts"
import type { Settings } from "./Settings.ts"
import { emptyState } from "./State.ts"
import type { State } from "./State.ts"
import { Webhooks } from "./webhooks/Webhooks.ts"

/** How the ids of those endpoints begin that come from the options. */
const OPTION = "we_option_"

/** An endpoint that is there from the start, and again after a reset. */
export interface WebhookOption {
  readonly url: string
  readonly secret: string
  /** All types when absent. */
  readonly enabledEvents?: ReadonlyArray<string> | undefined
}

/** A copy of everything the account remembers; plain JSON, so it can be kept in a file. */
export interface Snapshot {
  /** Where the pages were, for the links in it. */
  readonly url: string
  readonly state: State
}

/** The account and what surrounds it. */
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

  /** Lets happen what is due; before every request and now and then. */
  tick() {
    runDue(this.account)
  }

  /** Moves the simulated clock; what falls due on the way happens in its order. */
  advance(seconds: number) {
    this.account.state.offsetMillis += seconds * 1000
    this.tick()
  }

  /** Back to the start: the ready-made price, the endpoints of the options, real time. */
  reset() {
    this.load(emptyState())
    this.addEndpoints()
  }

  snapshot(): Snapshot {
    return { url: this.account.url, state: structuredClone(this.account.state) }
  }

  /** What was still to be delivered is forgotten; links lead to where this simulator serves its pages. */
  restore({ state, url }: Snapshot) {
    const text = JSON.stringify(state)
    this.load(JSON.parse(url === "" ? text : text.replaceAll(url, this.account.url)) as State)
  }

  private load(state: State) {
    const { account } = this
    this.webhooks.clear()
    this.faults.clear()
    this.requests.clear()
    account.state = state
    this.addCatalog()
  }

  /** The endpoints of the options, in place of those that an earlier simulator was started with. */
  addEndpoints() {
    const { account } = this
    for (const endpoint of account.all("webhook_endpoint")) if (endpoint.id.startsWith(OPTION)) account.remove(endpoint)
    for (const [index, { enabledEvents = ["*"], secret, url }] of this.endpoints.entries())
      addEndpoint(account, { id: `${OPTION}${index}`, url, secret, enabledEvents })
  }

  private addCatalog() {
    const { account } = this
    const { currency, priceId, productId, productName, unitAmount } = account.settings
    if (!account.find("product", productId))
      account.add(makeProduct(account.birth(), { id: productId, name: productName, metadata: {} }))
    if (account.find("price", priceId)) return
    const recurring = { interval: "month", intervalCount: 1 } as const
    account.add(makePrice(account.birth(), { id: priceId, product: productId, currency, unitAmount, recurring, metadata: {} }))
  }
}

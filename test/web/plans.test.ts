import type { Browser } from "puppeteer-core"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { otherPrices, twoPlans } from "../billing/planSettings.ts"
import { hasBrowser, startBrowser } from "./Browser.ts"
import { type Site, startSite } from "./Site.ts"
import { Visitor } from "./Visitor.ts"

let site: Site
let browser: Browser

describe.skipIf(!hasBrowser)("several plans", () => {
  beforeAll(async () => {
    site = await startSite(
      { PLANS: twoPlans(), STRIPE_TAX: "on" },
      { otherPrices, taxBehavior: "exclusive", taxCountries: ["DE"] }
    )
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser.close()
    await site.stop()
  })

  it("are shown with prices and trials, bought, changed, and have invoices", { timeout: 120_000 }, async () => {
    const visitor = await Visitor.open(browser, site)
    await visitor.logIn()
    await visitor.click(".account-button")
    await visitor.see("$20.00 a month, plus tax")
    await visitor.see("14 days free the first time")
    await visitor.press("Invoices")
    await visitor.see("No invoices.")
    await visitor.press("Plan")
    await visitor.press("By the year")
    await visitor.see("$500.00 a year, plus tax")
    await visitor.press("Upgrade to Max")
    await visitor.see("14 days free")
    await visitor.press("Start the trial without a card")
    await visitor.see("Thank you. Your plan is up to date.")
    await visitor.see("The trial ends on")
    await visitor.see("Cancel Max")

    await visitor.press("Change the plan, cards and invoices")
    await visitor.see("Change to Pro, $20.00 a month")
    await visitor.press("New card")
    await visitor.press("Change to Pro, $20.00 a month")
    await visitor.press("Return")
    await visitor.see("by the month")
    await visitor.see("Cancel Pro")
    await visitor.press("Invoices")
    await visitor.see("$23.80")
    await visitor.see("of it $3.80 tax")
    await visitor.close()
    assert.deepStrictEqual(visitor.faults, [])
  })
})

import type { Browser } from "puppeteer-core"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { hasBrowser, startBrowser } from "./Browser.ts"
import { type Site, startSite } from "./Site.ts"
import { Visitor } from "./Visitor.ts"

let site: Site
let browser: Browser
let visitor: Visitor

describe.skipIf(!hasBrowser)("a visit", () => {
  beforeAll(async () => {
    site = await startSite({ BASIC_DAILY_PROMPTS: "2" })
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser.close()
    await site.stop()
  })
  afterEach(async () => {
    await visitor.close()
    assert.deepStrictEqual(visitor.faults, [])
  })

  it("goes from the login to Pro", { timeout: 120_000 }, async () => {
    visitor = await Visitor.open(browser, site)
    await visitor.logIn()
    await visitor.see("2 of 2 prompts left")
    await visitor.press("Show me what a reply can look like")
    await visitor.see("What the page shows")
    await visitor.wait(".reply-actions")
    assert.isNotNull(await visitor.page.$(".markdown .hljs-keyword"))
    await visitor.see("1 of 2 prompts left")
    await visitor.askAndWait("The last one")
    await visitor.see("Today's 2 prompts are used")

    await visitor.press("Upgrade to Pro")
    await visitor.see("Account")
    await visitor.click("dialog .button.main")
    await visitor.see("Subscribe to")
    await visitor.fill("Email", "ada@example.com")
    await visitor.press("Pay")
    await visitor.see("Thank you. Your plan is up to date.")
    await visitor.see("Renews on")
    await visitor.see("Cards and invoices")
    await visitor.press("Close")
    await visitor.gone("dialog")
    await visitor.askAndWait("And one more")
    await visitor.see('You said: "And one more"')
    assert.notInclude(await visitor.text(), "prompts are used")
  })

  it("keeps its tokens where scripts and storage cannot reach them, and its session over a reload", async () => {
    visitor = await Visitor.open(browser, site)
    await visitor.logIn()
    const stored = await visitor.page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])
    )
    assert.notMatch(stored, /eyJ|refresh/)
    const cookies = await visitor.page.browserContext().cookies()
    assert.deepStrictEqual(
      cookies.map(({ httpOnly, name, sameSite }) => ({ httpOnly, name, sameSite })),
      [{ httpOnly: true, name: "refresh", sameSite: "Strict" }]
    )
    await visitor.page.reload()
    await visitor.see("What would you like to know?")
    await visitor.click(".account-button")
    await visitor.press("Log out")
    await visitor.see("Send a code")
    assert.deepStrictEqual(await visitor.page.browserContext().cookies(), [])
  })
})

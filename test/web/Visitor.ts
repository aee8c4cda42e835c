import type { Browser, BrowserContext, ElementHandle, HTTPRequest, Page } from "puppeteer-core"
import { freshMobile } from "../support/Client.ts"
import { forgetThrottles } from "../support/Database.ts"
import type { Site } from "./Site.ts"

export type Scheme = "light" | "dark"

const desktop = { width: 1280, height: 820 }
export const phone = { width: 390, height: 844, isMobile: true, hasTouch: true }

/** A person with a browser of their own, and what went wrong in it. */
export class Visitor {
  readonly page: Page
  /** Console errors, uncaught exceptions, violations of the CSP, and requests to other servers. */
  readonly faults: Array<string> = []
  private readonly context: BrowserContext
  private readonly site: Site

  private constructor(page: Page, context: BrowserContext, site: Site) {
    this.page = page
    this.context = context
    this.site = site
    page.on("console", (message) => {
      if (message.type() === "error" && this.isAtSite()) this.faults.push(`console: ${message.text()}`)
    })
    page.on("pageerror", (error) => this.faults.push(`exception: ${String(error)}`))
    page.on("request", (request) => this.judge(request))
  }

  static async open(browser: Browser, site: Site, options: { readonly isPhone?: boolean; readonly scheme?: Scheme } = {}) {
    const context = await browser.createBrowserContext()
    const page = await context.newPage()
    const visitor = new Visitor(page, context, site)
    await page.setViewport(options.isPhone === true ? phone : desktop)
    await page.emulateMediaFeatures([
      { name: "prefers-color-scheme", value: options.scheme ?? "light" },
      { name: "prefers-reduced-motion", value: "reduce" }
    ])
    await page.exposeFunction("onViolation", (text: string) => void visitor.faults.push(`CSP: ${text}`))
    await page.evaluateOnNewDocument(`
      addEventListener("securitypolicyviolation", (event) => onViolation(event.violatedDirective + " " + event.blockedURI))`)
    await page.goto(site.url)
    return visitor
  }

  private isAtSite(): boolean {
    return this.page.url().startsWith(this.site.url)
  }

  private judge(request: HTTPRequest): void {
    if (request.isNavigationRequest() || !this.isAtSite()) return
    if (![this.site.url, `blob:${this.site.url}`].some((own) => request.url().startsWith(own))) {
      this.faults.push(`request to ${request.url()}`)
    }
  }

  /** Forgets what the console says of a refusal that a test expects, which must have come. */
  forgive(status: number): void {
    const at = this.faults.findIndex((fault) => fault.includes(`status of ${status}`))
    if (at === -1) throw new Error(`no request was refused with ${status}`)
    this.faults.splice(at, 1)
  }

  /** The element with this role and name, as a screen reader finds it. */
  find(role: string, name: string): Promise<ElementHandle> {
    return this.wait(`::-p-aria([name="${name}"][role="${role}"])`)
  }

  async wait(selector: string): Promise<ElementHandle> {
    const found = await this.page.waitForSelector(selector, { timeout: 30_000 })
    if (found === null) throw new Error(`there is no ${selector}`)
    return found
  }

  /** Waits until nothing matches; what is behind a dialog cannot be used. */
  async gone(selector: string): Promise<void> {
    await this.page.waitForFunction((found: string) => document.querySelector(found) === null, { timeout: 30_000 }, selector)
  }

  /** Clicks what this selector names, also beside the screen. */
  async click(selector: string): Promise<void> {
    const found = await this.wait(selector)
    await found.evaluate((element) => element instanceof HTMLElement && element.click())
  }

  /** Waits until the page shows a text. */
  async see(text: string): Promise<void> {
    const isShown = (wanted: string) => document.body.innerText.includes(wanted)
    await this.page.waitForFunction(isShown, { timeout: 30_000 }, text).catch(async () => {
      throw new Error(`the page does not show "${text}" but: ${await this.text()}`)
    })
  }

  text(): Promise<string> {
    return this.page.evaluate(() => document.body.innerText)
  }

  async press(name: string, role = "button"): Promise<void> {
    await (await this.find(role, name)).click()
  }

  async fill(name: string, text: string, role = "textbox"): Promise<void> {
    const field = await this.find(role, name)
    await field.evaluate((element) => {
      if (element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement) element.select()
    })
    await field.type(text)
  }

  /** Logs in with a new number and the code that the page shows. */
  async logIn(): Promise<void> {
    await forgetThrottles(this.site.database)
    await this.fill("Mobile number", freshMobile())
    await this.press("Send a code")
    await this.see("Your code is")
    await this.press("Log in")
    await this.see("What would you like to know?")
  }

  async ask(question: string): Promise<void> {
    const field = await this.wait("#question")
    // Typed at once: a long text key by key takes seconds.
    await field.evaluate((element, text) => {
      if (!(element instanceof HTMLTextAreaElement)) return
      element.value = text
      element.dispatchEvent(new Event("input", { bubbles: true }))
      element.focus()
    }, question)
    await this.page.keyboard.press("Enter")
  }

  /** Asks, and waits for the end of the reply. */
  async askAndWait(question: string): Promise<void> {
    const newest = () => [...document.querySelectorAll(".question")].at(-1)?.id ?? ""
    const before = await this.page.evaluate(newest)
    await this.ask(question)
    const isThere = (before: string) => {
      const turn = [...document.querySelectorAll(".turn")].at(-1)
      return turn !== undefined && turn.querySelector(".question")?.id !== before && turn.querySelector(".reply-actions") !== null
    }
    await this.page.waitForFunction(isThere, { timeout: 30_000 }, before)
  }

  /** Lets the browser store downloads in the folder, under their names. */
  async downloadsTo(folder: string): Promise<void> {
    const session = await this.page.createCDPSession()
    await session.send("Browser.setDownloadBehavior", {
      behavior: "allow",
      downloadPath: folder,
      ...(this.context.id === undefined ? {} : { browserContextId: this.context.id })
    })
  }

  /** Chooses files for the button. */
  async choose(button: string, ...paths: ReadonlyArray<string>): Promise<void> {
    const [chooser] = await Promise.all([this.page.waitForFileChooser({ timeout: 30_000 }), this.press(button)])
    await chooser.accept([...paths])
  }

  async close(): Promise<void> {
    await this.context.close()
  }
}

import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import axe from "axe-core"
import type { Browser } from "puppeteer-core"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { png } from "../files/samples.ts"
import { hasBrowser, startBrowser } from "./Browser.ts"
import { type Site, startSite } from "./Site.ts"
import { phone, type Scheme, Visitor } from "./Visitor.ts"

let site: Site
let browser: Browser
let visitor: Visitor
const folder = mkdtempSync(join(tmpdir(), "seen-"))

const write = (name: string, bytes: Uint8Array | string): string => {
  writeFileSync(join(folder, name), bytes)
  return join(folder, name)
}

const rich =
  "[[say # Title\n\nText, `code` and a [link](https://good.example/).\n\n```ts\nconst wide: string = 'a line that is longer than a phone is wide, and scrolls'\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quote]]"

/** The rules of WCAG 2.2 AA, and axe's best practices. */
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

const violations = async (): Promise<ReadonlyArray<string>> => {
  await visitor.page.evaluate(axe.source)
  const found = await visitor.page.evaluate(`axe.run({ runOnly: ${JSON.stringify(tags)} }).then(({ violations }) =>
    violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html, failureSummary }) => html.slice(0, 200) + " " + failureSummary).join(" | ")))`)
  return Array.isArray(found) ? found.map(String) : [String(found)]
}

/** How much of the page is beside the screen. */
const overflow = () => visitor.page.evaluate(() => document.documentElement.scrollWidth - innerWidth)

const openAccount = async (tab: string) => {
  await visitor.click(".account-button")
  await visitor.see("Logged in as")
  await visitor.press(tab)
}

/** Goes through every view, and calls `check` in each. */
const visitAll = async (check: (view: string) => Promise<void>) => {
  await check("login")
  await visitor.logIn()
  await check("welcome")
  await visitor.askAndWait(rich)
  await visitor.wait(".hljs-keyword")
  await check("conversation")
  await visitor.press("Edit the question")
  await check("a question that is edited")
  await visitor.press("Save")
  await visitor.find("button", "Earlier version of the question")
  await visitor.wait(".hljs-keyword")
  await visitor.wait(".reply-actions")
  await check("versions")
  const [chooser] = await Promise.all([visitor.page.waitForFileChooser({ timeout: 30_000 }), visitor.press("Attach files")])
  const picture = write("a-picture.png", png({ width: 40, height: 30 }))
  await chooser.accept([picture, write("broken.pdf", "no PDF"), write("a.txt", "text")])
  await visitor.page.waitForFunction(() => document.querySelectorAll('.draft-file[aria-busy="false"]').length === 3)
  visitor.forgive(422)
  await check("files of a draft")
  await visitor.askAndWait("What are they?")
  await visitor.wait(".question img")
  await check("files of a question")
  await visitor.click('[aria-label="What was sent to the model"]')
  await visitor.see("prompt tokens to")
  await check("receipt")
  await visitor.press("Close")
  await visitor.click('[aria-label="Room settings"]')
  await visitor.see("Instructions for the model")
  await check("settings")
  await visitor.press("Close")
  for (const [tab, text] of [
    ["Plan", "Upgrade to Pro"],
    ["Usage", "Prompts by day"],
    ["Sessions", "This one"],
    ["Links", "No links."]
  ] as const) {
    await openAccount(tab)
    await visitor.see(text)
    await check(tab)
    await visitor.press("Close")
  }
  await visitor.press("As HTTP")
  await visitor.see("answer: headers")
  await check("as HTTP")
}

describe.skipIf(!hasBrowser)("every view", () => {
  beforeAll(async () => {
    site = await startSite()
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser.close()
    await site.stop()
    rmSync(folder, { recursive: true })
  })
  afterEach(async () => {
    await visitor.close()
    assert.deepStrictEqual(visitor.faults, [])
  })

  const schemes: ReadonlyArray<Scheme> = ["light", "dark"]
  it.each(schemes)("keeps to WCAG 2.2 AA as far as axe can tell: %s", { timeout: 120_000 }, async (scheme) => {
    visitor = await Visitor.open(browser, site, { scheme })
    const found: Array<string> = []
    await visitAll(async (view) => void found.push(...(await violations()).map((violation) => `${view}: ${violation}`)))
    assert.deepStrictEqual(found, [])
  })

  it("fits a phone without scrolling sideways, and keeps to the rules there", { timeout: 120_000 }, async () => {
    visitor = await Visitor.open(browser, site, { isPhone: true, scheme: "dark" })
    const found: Array<string> = []
    const wide: Array<string> = []
    await visitAll(async (view) => {
      if ((await overflow()) > 0) wide.push(view)
      found.push(...(await violations()).map((violation) => `${view}: ${violation}`))
    })
    await visitor.press("Close the panel")
    await visitor.press("Rooms")
    await visitor.find("searchbox", "Search rooms and messages")
    found.push(...(await violations()).map((violation) => `rooms: ${violation}`))
    assert.strictEqual(await visitor.page.evaluate(() => innerWidth), phone.width)
    assert.deepStrictEqual(wide, [])
    assert.deepStrictEqual(found, [])
  })
})

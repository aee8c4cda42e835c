import type { Browser } from "puppeteer-core"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { hasBrowser, startBrowser } from "./Browser.ts"
import { type Site, startSite } from "./Site.ts"
import { Visitor } from "./Visitor.ts"

let site: Site
let browser: Browser
let visitor: Visitor

/** The text of the newest reply in the page. */
const replyText = () => visitor.page.evaluate(() => [...document.querySelectorAll(".markdown")].at(-1)?.textContent ?? "")

/** Waits until the conversation has these questions, and no others. */
const seeQuestions = async (...wanted: ReadonlyArray<string>) => {
  const shown = () => [...document.querySelectorAll(".question-text")].map((item) => item.textContent)
  const isShown = (list: string) =>
    JSON.stringify([...document.querySelectorAll(".question-text")].map((item) => item.textContent)) === list
  await visitor.page.waitForFunction(isShown, { timeout: 30_000 }, JSON.stringify(wanted)).catch(async () => {
    assert.deepStrictEqual(await visitor.page.evaluate(shown), wanted)
  })
}

/** Waits until a message says which of its versions it is. */
const seeVersion = async (name: string, text: string) => {
  const isShown = (selector: string, wanted: string) => document.querySelector(selector)?.textContent === wanted
  await visitor.page.waitForFunction(isShown, { timeout: 30_000 }, `[aria-label="Versions of the ${name}"] span`, text)
}

/** Waits until the element of this name has the focus. */
const seeFocus = async (label: string) => {
  const isFocused = (wanted: string) => document.activeElement?.getAttribute("aria-label") === wanted
  await visitor.page.waitForFunction(isFocused, { timeout: 30_000 }, label)
}

const storedReplies = async (): Promise<ReadonlyArray<string>> =>
  (await site.database.query("select content from messages where role = 'model' order by id")).map(({ content }) => content)

describe.skipIf(!hasBrowser)("a conversation", () => {
  beforeAll(async () => {
    site = await startSite({ BASIC_DAILY_SEARCHES: "100" })
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser.close()
    await site.stop()
  })
  beforeEach(async () => {
    visitor = await Visitor.open(browser, site)
    await visitor.logIn()
  })
  afterEach(async () => {
    await visitor.close()
    assert.deepStrictEqual(visitor.faults, [])
  })

  it("resumes a stream that is cut in the middle, and says so", async () => {
    await visitor.ask("[[length 3000]] [[chunks 100 delay 60]]")
    await visitor.page.waitForFunction(() => (document.querySelector(".markdown")?.textContent ?? "").length > 200)
    site.proxy.cut()
    await visitor.see("Connection lost. Reconnecting…")
    const atTheCut = await replyText()
    site.proxy.restore()
    await visitor.see("Connected again. The reply continues where it was cut.")
    await visitor.wait(".reply-actions")
    const whole = (await storedReplies()).at(-1) ?? ""
    assert.lengthOf(whole, 3_000)
    assert.isBelow(atTheCut.length, whole.length)
    assert.strictEqual((await replyText()).replaceAll(/\s/g, ""), whole.replaceAll(/\s/g, ""))
    // What the browser says of a connection that is cut.
    const isOfTheCut = (fault: string) => /net::ERR_|WebSocket/.test(fault)
    visitor.faults.splice(0, Infinity, ...visitor.faults.filter((fault) => !isOfTheCut(fault)))

    await visitor.press("As HTTP: this reply")
    const streams = await visitor.page.$$eval(".exchange", (items) => items.map((item) => item.textContent ?? ""))
    assert.isAtLeast(streams.filter((text) => text.includes("/stream")).length, 2)
    await visitor.see("last-event-id: 1:")
  })

  it("says that the browser is offline", async () => {
    await visitor.page.setOfflineMode(true)
    await visitor.see("You are offline")
    await visitor.page.setOfflineMode(false)
    await visitor.gone(".banner")
  })

  it("shows no HTML, script, image or dangerous address of a reply", async () => {
    const hostile = [
      "<img src=x onerror=alert(1)><script>alert(2)</script>",
      "[harmless](javascript:alert(3)) ![picture](https://elsewhere.example/x.png)",
      "<a href=data:text/html,x>data</a> [good](https://good.example/)"
    ]
    await visitor.askAndWait(`[[say ${hostile.join("\n\n")}]]`)
    const made = await visitor.page.evaluate(() => {
      const reply = document.querySelector(".markdown")
      return {
        elements: reply?.querySelectorAll("img, script, iframe, style").length,
        links: [...(reply?.querySelectorAll("a") ?? [])].map((link) => [link.getAttribute("href"), link.rel, link.target])
      }
    })
    assert.strictEqual(made.elements, 0)
    assert.deepStrictEqual(made.links, [
      [null, "noopener noreferrer nofollow", "_blank"],
      ["https://elsewhere.example/x.png", "noopener noreferrer nofollow", "_blank"],
      ["https://good.example/", "noopener noreferrer nofollow", "_blank"]
    ])
    assert.include(await replyText(), "<script>alert(2)</script>")
  })

  it("stops with Escape, answers again, and shows both versions", async () => {
    await visitor.ask("[[length 5000]] [[chunks 500 delay 50]]")
    await visitor.page.waitForFunction(() => (document.querySelector(".markdown")?.textContent ?? "").length > 20)
    await visitor.page.keyboard.press("Escape")
    await visitor.see("Stopped. The text so far is kept.")
    await visitor.askAndWait("Again and again")
    const again = await visitor.page.$$('[aria-label="Answer again"]')
    await again.at(-1)?.click()
    await seeVersion("reply", "2 of 2")
    await visitor.press("Earlier version of the reply")
    await seeVersion("reply", "1 of 2")
  })

  it("edits a question with the keyboard, and goes through its versions, each with its branch", async () => {
    await visitor.askAndWait("Looms weave")
    await visitor.askAndWait("And engines?")
    await (await visitor.find("button", "Edit the question")).focus()
    await visitor.page.keyboard.press("Enter")
    await visitor.fill("The question in other words", "Not this")
    await visitor.page.keyboard.press("Escape")
    await seeFocus("Edit the question")
    await seeQuestions("Looms weave", "And engines?")

    await visitor.page.keyboard.press("Enter")
    await visitor.fill("The question in other words", "Jacquard looms weave")
    await visitor.page.keyboard.down("Control")
    await visitor.page.keyboard.press("Enter")
    await visitor.page.keyboard.up("Control")
    await seeVersion("question", "2 of 2")
    await seeQuestions("Jacquard looms weave")
    await seeFocus("Edit the question")
    await visitor.see('You said: "Jacquard looms weave"')
    await visitor.wait(".reply-actions")

    await (await visitor.find("button", "Earlier version of the question")).focus()
    await visitor.page.keyboard.press("Enter")
    await seeQuestions("Looms weave", "And engines?")
    await seeVersion("question", "1 of 2")
    await seeFocus("Earlier version of the question")
    await visitor.press("As HTTP: edit a question")
    const sent = await visitor.page.$$eval(".exchange", (items) => items.map((item) => item.textContent ?? ""))
    for (const part of ["/edit", "PATCH", "/messages"])
      assert.isTrue(
        sent.some((text) => text.includes(part)),
        part
      )
    await visitor.page.reload()
    await seeQuestions("Looms weave", "And engines?")
    await visitor.press("Later version of the question")
    await seeQuestions("Jacquard looms weave")
  })

  it("shows why a question cannot be edited, and keeps the text", async () => {
    await visitor.ask("[[length 5000]] [[chunks 500 delay 50]]")
    await visitor.press("Edit the question")
    await visitor.fill("The question in other words", "Something shorter")
    await visitor.press("Save")
    await visitor.see("The reply has not ended yet")
    const kept = await visitor.page.evaluate(() => document.querySelector<HTMLTextAreaElement>(".question-edit textarea")?.value)
    assert.strictEqual(kept, "Something shorter")
    visitor.forgive(409)
    await visitor.press("Stop the reply")
    await visitor.see("Stopped. The text so far is kept.")
    await visitor.press("Save")
    await seeQuestions("Something shorter")
  })

  it("folds thoughts, and shows an answer in JSON with indentation", async () => {
    await visitor.askAndWait("Anything")
    await visitor.press("Room settings")
    await visitor.press("Show summaries of its thoughts", "checkbox")
    await visitor.press("Save")
    await visitor.gone("dialog")
    await visitor.askAndWait("[[thoughts 4]] think")
    const details = await visitor.wait("details.thoughts")
    assert.isFalse(await details.evaluate((element) => element.hasAttribute("open")))
    await (await visitor.wait("details.thoughts summary")).click()
    await visitor.see("(1 of 4)")
    await visitor.press("JSON")
    await visitor.askAndWait('[[say {"a":[1,2],"b":null}]]')
    await visitor.see('"a": [\n')
  })

  it("shows the sources of a reply, their numbers in its text, and Google's suggestions", async () => {
    await visitor.askAndWait("Anything")
    await visitor.press("Room settings")
    await visitor.press("Search with Google", "checkbox")
    await visitor.press("Save")
    await visitor.gone("dialog")
    await visitor.askAndWait("[[search looms|engines]] What is woven?")
    await visitor.see("Searched for “looms”, “engines”")
    assert.isNotEmpty(await visitor.page.$$(".sources ol a"))
    assert.isNotEmpty(await visitor.page.$$(".markdown sup"))
    const suggested = () =>
      document.querySelector(".suggested")?.shadowRoot?.querySelector(".chip")?.textContent === "looms engines"
    await visitor.page.waitForFunction(suggested)
  })

  it("shows what was sent to the model, and how as HTTP", async () => {
    await visitor.askAndWait("First question")
    await visitor.askAndWait("Second question")
    // As in a long room.
    await site.database.query(
      `update messages set context_summary = jsonb_build_object('upTo', id, 'tokens', 9, 'text', 'Looms were decided on.')
        where id = (select id from messages where role = 'model' order by id desc limit 1)`
    )
    const receipts = await visitor.page.$$('[aria-label="What was sent to the model"]')
    await receipts.at(-1)?.click()
    await visitor.see("prompt tokens to")
    await visitor.see("Looms were decided on.")
    assert.lengthOf(await visitor.page.$$(".receipt li"), 3)
    await visitor.press("As HTTP: the receipt")
    await visitor.see("/context")
    await visitor.see("authorization: Bearer $TOKEN")
    assert.notInclude(await visitor.text(), "eyJ")
  })
})

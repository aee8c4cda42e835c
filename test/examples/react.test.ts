import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import type { Browser, Page } from "puppeteer-core"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { freePort } from "../../dev/freePort.ts"
import type { Person } from "../support/Client.ts"
import { callsAbout } from "../support/geminiCalls.ts"
import { uniquePrompt } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { hasBrowser, startBrowser } from "../web/Browser.ts"

describe.skipIf(!hasBrowser)("the React example", () => {
  let backends: TestBackends
  let browser: Browser
  let server: ChildProcess
  let ada: Person
  let page: Page
  let address: string
  const faults: Array<string> = []

  beforeAll(async () => {
    const port = await freePort()
    address = `http://127.0.0.1:${port}`
    backends = await startBackends({ BASIC_DAILY_PROMPTS: "3", CORS_ORIGINS: address, LOG_LEVEL: "none" })
    const env = { ...process.env, PORT: String(port), CHAT_URL: backends.urls[0] ?? "" }
    server = spawn(process.execPath, ["examples/react/serve.ts"], { env, stdio: ["ignore", "pipe", "inherit"] })
    if (server.stdout !== null) await once(server.stdout, "data")
    browser = await startBrowser()
    ada = await backends.newUser()
    page = await browser.newPage()
    page.on("pageerror", (error) => faults.push(String(error)))
  })
  afterAll(async () => {
    await browser.close()
    server.kill()
    await backends.stop()
  })

  /** The texts of the chat, as the page shows them. */
  const shown = () => page.$$eval(".message", (messages) => messages.map((message) => message.textContent ?? ""))
  const waitForText = (length: number) =>
    page.waitForFunction(
      (wanted: number) => ([...document.querySelectorAll(".assistant")].at(-1)?.textContent?.length ?? 0) >= wanted,
      { timeout: 30_000 },
      length
    )
  const waitFor = (text: string) =>
    page.waitForFunction((wanted: string) => document.body.innerText.includes(wanted), { timeout: 30_000 }, text)
  const ask = async (question: string) => {
    await page.locator('[aria-label="Question"]').fill(question)
    await page.locator("::-p-text(Ask)").click()
  }
  const chatId = async () => new URL(await page.evaluate(() => location.href)).hash.slice(1)
  const stored = async () =>
    (await ada.call("GET", `/chatroom/${await chatId()}`)).body.messages.map(({ content }: { content: string }) => content)

  it("shows a whole reply to a reader who leaves in the middle and comes back", async () => {
    await page.goto(address)
    await page.locator("input").fill("no token")
    await page.locator("::-p-text(Begin)").click()
    await waitFor("The access token is invalid")
    await page.locator("input").fill(ada.token)
    await page.locator("::-p-text(Begin)").click()
    const question = uniquePrompt("[[length 600]] [[chunks 60 delay 60]]")
    await ask(question)
    await waitForText(120)
    const chat = await page.evaluate(() => location.href)
    await page.goto("about:blank")
    await page.goto(chat)
    await waitForText(600)
    await waitFor("Ask")
    assert.deepStrictEqual(await shown(), await stored())
    assert.lengthOf(callsAbout(backends, question), 1)
    await page.reload()
    await waitForText(600)
    assert.deepStrictEqual(await shown(), await stored())
  })

  it("stops a reply, and keeps the text so far", async () => {
    const question = uniquePrompt("[[length 4000]] [[chunks 400 delay 60]]")
    await ask(question)
    await waitForText(50)
    await page.locator("::-p-text(Stop)").click()
    await waitFor("Ask")
    assert.deepStrictEqual(await shown(), await stored())
    assert.isBelow((await shown()).at(-1)?.length ?? 0, 4_000)
  })

  it("says why a question is refused", async () => {
    await ask("[[say the last one]]")
    await waitFor("the last one")
    await ask("One too many")
    await waitFor("Today's prompts are used up")
    assert.deepStrictEqual(faults, [])
  })
})

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser } from "puppeteer-core"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { png } from "../files/samples.ts"
import { until } from "../support/wait.ts"
import { hasBrowser, startBrowser } from "./Browser.ts"
import { type Site, startSite } from "./Site.ts"
import { Visitor } from "./Visitor.ts"

let site: Site
let browser: Browser
let visitor: Visitor
const folder = mkdtempSync(join(tmpdir(), "attached-"))

const write = (name: string, bytes: Uint8Array | string): string => {
  writeFileSync(join(folder, name), bytes)
  return join(folder, name)
}

const attach = (...paths: ReadonlyArray<string>) => visitor.choose("Attach files", ...paths)

/** Waits until the picture is drawn: its pixels are there. */
const seePicture = async (selector: string) => {
  const isDrawn = (selector: string) => {
    const picture = document.querySelector(selector)
    return picture instanceof HTMLImageElement && picture.complete && picture.naturalWidth > 0
  }
  await visitor.page.waitForFunction(isDrawn, { timeout: 30_000 }, selector)
}

/** The kinds of addresses of the pictures of the page. */
const addresses = () => visitor.page.evaluate(() => [...document.images].map(({ src }) => src.split(":")[0]))

describe.skipIf(!hasBrowser)("files", () => {
  beforeAll(async () => {
    site = await startSite()
    browser = await startBrowser()
  })
  afterAll(async () => {
    await browser.close()
    await site.stop()
    rmSync(folder, { recursive: true })
  })
  beforeEach(async () => {
    visitor = await Visitor.open(browser, site)
    await visitor.logIn()
  })
  afterEach(async () => {
    await visitor.close()
    assert.deepStrictEqual(visitor.faults, [])
  })

  it("attaches a picture, which is seen before and after it is sent, without any words", async () => {
    await attach(write("loom.png", png({ width: 40, height: 30 })))
    await seePicture(".draft-file img")
    await visitor.see("loom.png")
    await visitor.wait('.draft-file[aria-busy="false"]')
    await visitor.press("Send")
    await seePicture(".question img")
    await visitor.gone(".draft-file")
    await visitor.wait(".reply-actions")
    assert.deepStrictEqual(await addresses(), ["blob"])
    assert.lengthOf(await site.database.query("select 1 from messages where role = 'user' and content = ''"), 1)
    await visitor.page.reload()
    await seePicture('.question img[alt="loom.png"]')

    await visitor.press("Edit the question")
    await visitor.fill("The question in other words", "What is this?")
    await visitor.press("Save")
    await visitor.see("What is this?")
    await seePicture(".question img")
  })

  it("says at a file why it is refused, and sends the question without it", async () => {
    await attach(write("broken.png", "no picture"), write("archive.zip", "PK"), write("notes.md", "# Notes"))
    await visitor.see("It cannot be read")
    await visitor.see("This type is not supported")
    await visitor.wait('.draft-file[aria-busy="false"]:not(.refused)')
    visitor.forgive(415)
    visitor.forgive(422)
    await visitor.press("Remove broken.png")
    await visitor.page.waitForFunction(() => document.querySelectorAll(".draft-file").length === 2)
    await visitor.page.waitForFunction(() => document.activeElement?.id === "question")
    await visitor.askAndWait("What do the notes say?")
    const sent = await visitor.page.$$eval(".question .file-name", (names) => names.map((name) => name.textContent))
    assert.deepStrictEqual(sent, ["notes.md"])
    const downloads = mkdtempSync(join(folder, "downloads-"))
    await visitor.downloadsTo(downloads)
    await visitor.press("Download notes.md")
    const stored = join(downloads, "notes.md")
    await until("the download", () => existsSync(stored) && readFileSync(stored, "utf8") === "# Notes")
    await visitor.press("As HTTP: files")
    await visitor.see("/content-ticket")
  })

  it("are in a shared link when its maker says so", async () => {
    await attach(write("shared.txt", "Shared looms"))
    await visitor.wait('.draft-file[aria-busy="false"]')
    await visitor.askAndWait("What is shared?")
    for (const withFiles of [false, true]) {
      await visitor.click('[aria-label^="Actions for"]')
      await visitor.press("Share", "menuitem")
      if (withFiles) await visitor.press("Also show the files of the questions", "checkbox")
      await visitor.press("Make a link")
      await visitor.see("The link shows 2 messages")
      const link = await visitor.page.$eval("dialog code", (element) => element.textContent ?? "")
      const { messages } = (await (await fetch(link)).json()) as {
        messages: ReadonlyArray<{ attachments?: ReadonlyArray<{ name: string }> }>
      }
      assert.deepStrictEqual(
        messages[0]?.attachments?.map(({ name }) => name),
        withFiles ? ["shared.txt"] : undefined
      )
      await visitor.press("Close")
    }
  })

  it("takes a file that is dropped on the field", async () => {
    await visitor.page.$eval(".composer-box", (box) => {
      const dataTransfer = new DataTransfer()
      dataTransfer.items.add(new File(["dropped"], "dropped.txt", { type: "text/plain" }))
      for (const name of ["dragover", "drop"])
        box.dispatchEvent(new DragEvent(name, { dataTransfer, bubbles: true, cancelable: true }))
    })
    await visitor.see("dropped.txt")
    await visitor.see("7 bytes")
    await visitor.wait('.draft-file[aria-busy="false"]')
    await visitor.askAndWait("And this?")
    await visitor.find("button", "Download dropped.txt")
  })
})

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Browser } from "puppeteer-core"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { until } from "../support/wait.ts"
import { hasBrowser, startBrowser } from "./Browser.ts"
import { type Site, startSite } from "./Site.ts"
import { Visitor } from "./Visitor.ts"

let site: Site
let browser: Browser
let visitor: Visitor

const titles = () => visitor.page.$$eval(".room-title", (items) => items.map((item) => item.textContent ?? ""))

/** Waits until the list of rooms is this one. */
const seeRooms = async (...wanted: ReadonlyArray<string>) => {
  const isShown = (list: string) =>
    JSON.stringify([...document.querySelectorAll(".room-title")].map((item) => item.textContent)) === list
  await visitor.page.waitForFunction(isShown, { timeout: 30_000 }, JSON.stringify(wanted)).catch(async () => {
    assert.deepStrictEqual(await titles(), wanted)
  })
}

/** Opens the menu of a room with the keyboard, and chooses one of its items. */
const choose = async (room: string, item: string) => {
  const button = await visitor.find("button", `Actions for ${room}`)
  await button.focus()
  await visitor.page.keyboard.press("Enter")
  await visitor.find("menuitem", item)
  const focused = () => visitor.page.evaluate(() => document.activeElement?.textContent?.trim())
  for (let step = 0; step < 10 && (await focused()) !== item; step++) await visitor.page.keyboard.press("ArrowDown")
  await visitor.page.keyboard.press("Enter")
}

describe.skipIf(!hasBrowser)("the list of rooms", () => {
  beforeAll(async () => {
    site = await startSite()
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

  it("renames, pins, archives, deletes and finds rooms with the keyboard", { timeout: 120_000 }, async () => {
    visitor = await Visitor.open(browser, site)
    await visitor.logIn()
    await visitor.askAndWait("Looms weave")
    await visitor.press("New chat")
    await visitor.askAndWait("Engines compute")
    await seeRooms("Engines compute", "Looms weave")

    await choose("Looms weave", "Rename")
    await visitor.fill("Title", "Flowers")
    await visitor.page.keyboard.press("Enter")
    await seeRooms("Engines compute", "Flowers")

    await choose("Flowers", "Share")
    await visitor.press("Make a link")
    await visitor.see("The link shows 2 messages")
    const link = await visitor.page.$eval("dialog code", (element) => element.textContent ?? "")
    assert.include(await (await fetch(link, { headers: { accept: "text/html" } })).text(), "Looms weave")
    await visitor.press("Close")

    const downloads = mkdtempSync(join(tmpdir(), "exports-"))
    await visitor.downloadsTo(downloads)
    await choose("Flowers", "Export")
    const exported = await until("the export", () => readdirSync(downloads).find((name) => name.endsWith(".json")))

    await choose("Flowers", "Pin")
    await seeRooms("Flowers", "Engines compute")

    await visitor.page.keyboard.down("Control")
    await visitor.page.keyboard.press("k")
    await visitor.page.keyboard.up("Control")
    await visitor.page.keyboard.type("compute")
    await seeRooms("Engines compute")
    await visitor.wait(".found")
    await visitor.fill("Search rooms and messages", "x", "searchbox")
    await visitor.page.keyboard.press("Backspace")
    await seeRooms("Flowers", "Engines compute")

    await choose("Flowers", "Archive")
    await seeRooms("Engines compute")
    await visitor.press("Archived rooms")
    await seeRooms("Flowers")
    await choose("Flowers", "Delete")
    await visitor.press("Delete")
    await seeRooms()

    await visitor.press("Back to all rooms")
    await seeRooms("Engines compute")
    await visitor.choose("Import a room", join(downloads, exported))
    await seeRooms("Flowers", "Engines compute")
    await visitor.see("Looms weave")
    writeFileSync(join(downloads, "other.json"), '{"title": "Other"}')
    await visitor.choose("Import a room", join(downloads, "other.json"))
    await visitor.wait(".notice.error")
    visitor.forgive(400)
    rmSync(downloads, { recursive: true })
  })
})

import { existsSync } from "node:fs"
import { type Browser, launch } from "puppeteer-core"

const places = [
  process.env["CHROME_PATH"] ?? "",
  "/usr/bin/chromium",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "C:/Program Files/Google/Chrome/Application/chrome.exe"
]

/** The Chrome or Chromium of this machine, if it has one. */
export const browserPath = places.find((path) => path !== "" && existsSync(path))

/** Whether the browser tests run. Where a browser is required, its absence is a failure and not a skipped test. */
export const hasBrowser = browserPath !== undefined || process.env["REQUIRE_BROWSER"] === "1"
if (!hasBrowser)
  console.log("The browser tests are skipped: no Chrome or Chromium is installed (CHROME_PATH names one elsewhere)")

export const startBrowser = (): Promise<Browser> =>
  launch({
    executablePath: browserPath ?? "no browser: install chromium, or set CHROME_PATH",
    // Root needs no sandbox in containers; the pages are our own.
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
  })

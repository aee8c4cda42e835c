import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer, request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { SignJWT } from "jose"
import type { Browser, Page } from "puppeteer-core"
import { rolldown } from "rolldown"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { jwtSecret, startBackend } from "../support/Backend.ts"
import { freshMobile } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { until } from "../support/wait.ts"
import { installClient, type Project, runProgram } from "./ClientPackage.ts"
import { browserPage, browserProgram, flow, wrong } from "./packagePrograms.ts"
import { hasBrowser, startBrowser } from "../web/Browser.ts"

const patience = { timeout: 120_000 }
const folder = mkdtempSync(join(tmpdir(), "client-package-"))
let project: Project

beforeAll(async () => {
  project = await installClient(folder)
}, 120_000)
afterAll(() => rmSync(folder, { recursive: true }))

const segment = (token: string, index: number) => JSON.parse(Buffer.from(token.split(".")[index] ?? "", "base64url").toString())

/** The same token, as it will be tomorrow. */
const expired = (token: string): Promise<string> => {
  const now = Math.floor(Date.now() / 1_000)
  return new SignJWT({ ...segment(token, 1), iat: now - 90_000, exp: now - 86_400 })
    .setProtectedHeader(segment(token, 0))
    .sign(jwtSecret)
}

/** Serves a page that uses the module on an origin of its own, where `/api` is the backend. */
const servePage = async (module: string) => {
  let backend = ""
  const server = createServer((incoming, response) => {
    const { headers, method, url = "/" } = incoming
    if (!url.startsWith("/api/")) {
      const isModule = url === "/client.js"
      response.setHeader("content-type", isModule ? "text/javascript" : "text/html")
      return response.end(isModule ? module : browserPage)
    }
    const forwarded = request(backend + url.slice("/api".length), { headers, method }, (answer) => {
      answer.pipe(response.writeHead(answer.statusCode ?? 502, answer.headers))
    })
    return incoming.pipe(forwarded.on("error", () => response.destroy()))
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const address = server.address()
  const origin = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`
  const forwardTo = (url: string) => void (backend = url)
  return { origin, forwardTo, stop: () => new Promise((resolve) => server.close(resolve).closeAllConnections()) }
}

const openPage = async (browser: Browser, origin: string): Promise<Page> => {
  const page = await browser.newPage()
  await page.goto(origin)
  await page.waitForFunction("globalThis.run !== undefined", { timeout: 30_000 })
  return page
}

describe("the package", () => {
  it("contains one module, its types, and what a reader needs", () => {
    const others = project.files.filter((name) => !/^dist\/\w+\.d\.ts$/.test(name))
    assert.sameMembers(others, ["LICENSE", "README.md", "dist/index.js", "package.json"])
    assert.notProperty(JSON.parse(readFileSync(join(folder, "package/package.json"), "utf8")), "dependencies")
  })

  it("has types that import nothing else", () => {
    for (const name of project.files.filter((name) => name.endsWith(".d.ts"))) {
      const text = readFileSync(join(folder, "package", name), "utf8")
      const imports = [...text.matchAll(/(?:from |import\()"([^"]+)"/g)].map(([, path]) => path)
      for (const path of imports) assert.match(path ?? "", /^\.\/\w+\.js$/, name)
    }
  })

  it("is small", async () => {
    const bundle = await rolldown({ input: join(folder, "package/dist/index.js"), platform: "browser" })
    const { output } = await bundle.generate({ format: "esm", minify: true })
    await bundle.close()
    const [{ code, imports }] = output
    const zipped = gzipSync(code).length
    process.stdout.write(`the client: ${code.length} bytes minified, ${zipped} gzipped\n`)
    assert.deepStrictEqual(imports, [])
    assert.isBelow(zipped, 8_000)
  })

  it("rejects each wrong use by its types", patience, async () => {
    const head = `import { ChatClient } from "gemini-chat-client"\nconst client = new ChatClient({ baseUrl: "" })\nconst id = "1"\n`
    await project.write("right.ts", `${head}export const use = await client.call("GET /chatroom/:id", { params: { id } })\n`)
    for (const [index, [, statement]] of wrong.entries()) {
      await project.write(`wrong${index}.ts`, `${head}export const use = ${statement}\n`)
    }
    const said = await project.compile(["right.ts", ...wrong.map((_, index) => `wrong${index}.ts`)], "node")
    for (const [index, [what]] of wrong.entries())
      assert.match(said, new RegExp(`wrong${index}\\.ts\\(4,\\d+\\): error TS`), what)
    assert.notMatch(said, /right\.ts|gemini-chat-client\/|\([123],/, "nothing else is wrong")
  })

  it("compiles with the types of browsers alone", patience, async () => {
    await project.write("browser.ts", browserProgram)
    assert.strictEqual(await project.compile(["browser.ts"], "dom"), "")
  })
})

describe("the installed package", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let backend: Awaited<ReturnType<typeof startBackend>>
  let proxy: TcpProxy
  let site: Awaited<ReturnType<typeof servePage>>

  beforeAll(async () => {
    site = await servePage(readFileSync(join(project.folder, "node_modules/gemini-chat-client/dist/index.js"), "utf8"))
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 5 })
    const settings = {
      DATABASE_URL: database.url,
      GEMINI_BASE_URL: gemini.url,
      BASIC_DAILY_PROMPTS: "100",
      CORS_ORIGINS: site.origin
    }
    backend = await startBackend(settings)
    proxy = await TcpProxy.start(backend.url)
    site.forwardTo(backend.url)
  })
  afterAll(async () => {
    await site.stop()
    await proxy.stop()
    await backend.stop()
    await gemini.stop()
    await database.drop()
  })

  /** Cuts all connections, and accepts others as soon as one was refused. */
  const cut = async () => {
    const before = proxy.refused()
    proxy.cut()
    void until("the client connects again", () => proxy.refused() > before).then(() => proxy.restore())
  }

  /** Uses up the user's chatrooms of the hour, so that the next one is refused for four seconds. */
  const limit = async (userId: string) => {
    await database.query(
      "insert into throttles (key, tat) values ($1, now() + interval '1 hour 1 second') on conflict (key) do update set tat = excluded.tat",
      [`chatrooms:${userId}`]
    )
  }

  it("logs in, follows a reply over a cut, waits, refreshes, uploads and reads pages", patience, async () => {
    await project.write("flow.ts", flow)
    assert.strictEqual(await project.compile(["flow.ts"], "node"), "")
    const args = [proxy.through(backend.url), freshMobile()]
    const seen = await runProgram(join(project.folder, "out/flow.js"), args, { cut, limit, expire: expired })
    assert.deepStrictEqual(seen, {
      login: true,
      stream: ["completed", 1500, true, true, true],
      ticket: [true, "1:1500"],
      limited: ["Numbers", ["POST /chatroom", "POST /chatroom"], true],
      refreshed: [true, 1],
      file: ["looms.md", "text/markdown", [true], "# Looms"],
      pages: [3, ["Looms", "Numbers", "a", "b", "c"]],
      refusal: [400, "validation_failed", ["/content"], true],
      away: true,
      logOut: [true, "unauthenticated"]
    })
  })

  it("is what the README shows", patience, async () => {
    const readme = readFileSync("client/README.md", "utf8")
    const blocks = [...readme.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, block = ""]) => block)
    assert.isAtLeast(blocks.length, 8)
    const program = blocks.join("\n").replaceAll("http://localhost:3000", backend.url).replace("+919876543210", freshMobile())
    await project.write(
      "readme.ts",
      `${program}\nconsole.log(JSON.stringify({ titles: (await client.call("GET /chatroom")).data.length }))\n`
    )
    assert.strictEqual(await project.compile(["readme.ts"], "node"), "")
    const seen = await runProgram(join(project.folder, "out/readme.js"), [])
    assert.deepStrictEqual(seen, { titles: 1 })
  })

  it.skipIf(!hasBrowser)(
    "works in pages: of another origin, in tabs that share a session, and with a cookie",
    patience,
    async () => {
      const browser = await startBrowser()
      try {
        const pages = [await openPage(browser, site.origin), await openPage(browser, site.origin)] as const
        const [page] = pages
        await page.exposeFunction("cut", cut)
        await page.exposeFunction("expire", expired)
        const seen = await page.evaluate(`run(${JSON.stringify(proxy.through(backend.url))}, ${JSON.stringify(freshMobile())})`)
        assert.deepStrictEqual(seen, { status: "completed", same: true, lost: true, source: "completed", file: "image/png" })

        const refreshes: Array<string> = []
        for (const each of pages) {
          each.on("request", (request) => {
            if (request.method() === "POST" && request.url().endsWith("/auth/refresh")) refreshes.push(request.url())
          })
        }
        await page.evaluate("expireStored()")
        // A browser shows a write to localStorage in other tabs with a delay.
        await Promise.all(pages.map((each) => each.waitForFunction("isExpired()", { timeout: 30_000 })))
        const counts = await Promise.all(pages.map((each) => each.evaluate(`listTwice(${JSON.stringify(backend.url)})`)))
        assert.deepStrictEqual(counts, [2, 2])
        assert.lengthOf(refreshes, 1)

        await page.evaluate(`logInWithCookie(${JSON.stringify(freshMobile())})`)
        await page.reload()
        await page.waitForFunction("globalThis.run !== undefined", { timeout: 30_000 })
        assert.deepStrictEqual(await page.evaluate("restoreAndLeave()"), [true, true, false])
      } finally {
        await browser.close()
      }
    }
  )
})

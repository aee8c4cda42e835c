import { createHash } from "node:crypto"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { brotliDecompressSync, gunzipSync } from "node:zlib"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { buildPage } from "../../scripts/web.ts"
import { playgroundHeaders } from "../../src/server/SecurityHeaders.ts"
import { startBackend } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { rawRequest } from "../support/rawHttp.ts"

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
const folder = mkdtempSync(join(tmpdir(), "page-"))

const assets = () => readdirSync(join(folder, "assets")).filter((name) => !/\.(br|gz)$/.test(name))
const get = (path: string, headers: Record<string, string> = {}, base = backend.url) => rawRequest(base, "GET", path, { headers })

beforeAll(async () => {
  await buildPage(folder, { compress: true })
  database = await createDatabase()
  backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api", API_PREFIX: "/api", PLAYGROUND: folder })
})
afterAll(async () => {
  await backend.stop()
  await database.drop()
  rmSync(folder, { recursive: true })
})

describe("the playground", () => {
  it("is the page at /, with a CSP that allows nothing inline and no other server", async () => {
    const page = await get("/")
    assert.strictEqual(page.status, 200)
    assert.strictEqual(page.headers["content-type"], "text/html; charset=utf-8")
    const policy = String(page.headers["content-security-policy"])
    assert.include(policy, "default-src 'none'; script-src 'self'; style-src 'self';")
    assert.include(policy, "require-trusted-types-for 'script'")
    assert.include(policy, "frame-ancestors 'none'")
    // Pictures that users attach are addresses of the page's own memory.
    assert.include(policy, "img-src 'self' blob:; connect-src 'self'; ")
    assert.notMatch(policy, /unsafe|https?:|\*/)
    assert.notMatch(page.text, /<script(?![^>]* src=)|<style|\sstyle=|\son\w+=/)
    assert.notMatch(page.text, /(?:src|href)="(?!\/)/)
  })

  it("names files that exist, by a hash of their content", async () => {
    const { text } = await get("/")
    const named = [...text.matchAll(/(?:src|href)="\/assets\/([^"]+)"/g)].map(([, name = ""]) => name)
    assert.lengthOf(named, 3)
    for (const name of named) assert.include(assets(), name)
    for (const name of assets()) assert.match(name, /^[a-z]+-[\w-]{8}\.(js|css|svg)$/)
  })

  it("is validated with each visit, and not sent again", async () => {
    for (const coding of ["identity", "gzip", "br"]) {
      const page = await get("/", { "accept-encoding": coding })
      assert.strictEqual(page.headers["cache-control"], "no-cache")
      assert.strictEqual(page.headers["vary"], "Accept-Encoding")
      const again = await get("/", { "accept-encoding": coding, "if-none-match": String(page.headers["etag"]) })
      assert.strictEqual(again.status, 304, coding)
      assert.strictEqual(again.text, "")
      for (const name of ["etag", "content-security-policy", "cross-origin-opener-policy", "vary"])
        assert.strictEqual(again.headers[name], page.headers[name], name)
    }
    const [plain, small] = [await get("/"), await get("/", { "accept-encoding": "br" })]
    assert.notStrictEqual(plain.headers["etag"], small.headers["etag"])
  })

  it("has the same links below API_PREFIX", async () => {
    const { status, text } = await get("/api/")
    assert.strictEqual(status, 200)
    const [, script = ""] = /src="([^"]+)"/.exec(text) ?? []
    assert.match(script, /^\/api\/assets\/main-/)
    assert.strictEqual((await get(script)).status, 200)
    assert.include(text, 'href="/api/docs"')
  })

  it("answers HEAD, and refuses other methods", async () => {
    const head = await rawRequest(backend.url, "HEAD", "/")
    assert.strictEqual(head.status, 200)
    assert.strictEqual(head.text, "")
    const post = await rawRequest(backend.url, "POST", "/assets/main.js")
    assert.strictEqual(post.status, 405)
    assert.strictEqual(post.headers["allow"], "GET, HEAD")
  })
})

describe("a file of the playground", () => {
  const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex")
  const bytesOf = async (path: string, coding: string) => {
    const response = await fetchBytes(path, coding)
    return { ...response, own: hash(response.bytes) }
  }
  /** `fetch` would decompress by itself. */
  const fetchBytes = async (path: string, coding: string) => {
    const { request } = await import("node:http")
    return new Promise<{ headers: Record<string, unknown>; bytes: Buffer }>((resolve, reject) => {
      const outgoing = request(backend.url + path, { headers: { "accept-encoding": coding } }, (incoming) => {
        const chunks: Array<Buffer> = []
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
        incoming.on("end", () => resolve({ headers: incoming.headers, bytes: Buffer.concat(chunks) }))
      })
      outgoing.on("error", reject)
      outgoing.end()
    })
  }

  it("is sent as the build compressed it, and kept by browsers for a year", async () => {
    for (const name of assets()) {
      const file = readFileSync(join(folder, "assets", name))
      const plain = await bytesOf(`/assets/${name}`, "identity")
      assert.strictEqual(plain.own, hash(file), name)
      assert.isUndefined(plain.headers["content-encoding"])
      const gzip = await bytesOf(`/assets/${name}`, "gzip")
      assert.strictEqual(gzip.headers["content-encoding"], "gzip")
      assert.strictEqual(hash(gunzipSync(gzip.bytes)), hash(file), name)
      const brotli = await bytesOf(`/assets/${name}`, "gzip, br;q=0.9")
      assert.strictEqual(brotli.headers["content-encoding"], "br")
      assert.strictEqual(hash(brotliDecompressSync(brotli.bytes)), hash(file), name)
      for (const { headers } of [plain, gzip, brotli]) {
        assert.strictEqual(headers["cache-control"], "public, max-age=31536000, immutable")
        assert.strictEqual(headers["vary"], "Accept-Encoding")
        assert.strictEqual(headers["x-content-type-options"], "nosniff")
      }
    }
  })

  it.each(["nothing.js", "main.js.br", "..%2findex.html", "%2e%2e%2f%2e%2e%2fpackage.json", "index.html"])(
    "is 404 when the build did not make it: %s",
    async (name) => {
      const reply = await get(`/assets/${name}`)
      assert.strictEqual(reply.status, 404)
      assert.strictEqual(JSON.parse(reply.text).code, "not_found")
      assert.notMatch(String(reply.headers["cache-control"]), /immutable/)
    }
  )

  it("takes less than 150 KB of the first load, gzipped", async () => {
    const { text } = await get("/")
    const first = [...text.matchAll(/\/assets\/([^"]+)"/g)].map(([, name]) => statSync(join(folder, "assets", `${name}.gz`)).size)
    assert.isBelow(
      first.reduce((sum, size) => sum + size, 0),
      150_000
    )
  })
})

describe("with files in S3", () => {
  it("lets the page follow the server to the bucket, and nowhere else", () => {
    const policy = playgroundHeaders("https://s3.example.com:9000")["content-security-policy"] ?? ""
    assert.include(policy, "connect-src 'self' https://s3.example.com:9000; ")
    assert.lengthOf(policy.split("https:"), 2)
  })
})

describe("without the playground", () => {
  it("leads to the reference with PLAYGROUND=off", async () => {
    const own = await startBackend({ DATABASE_URL: database.url, ROLE: "api", PLAYGROUND: "off" })
    try {
      const root = await get("/", {}, own.url)
      assert.strictEqual(root.status, 302)
      assert.strictEqual(root.headers["location"], "/docs")
      assert.strictEqual((await get(`/assets/${assets()[0]}`, {}, own.url)).status, 404)
    } finally {
      await own.stop()
    }
  })

  it("is nothing in a worker", async () => {
    const own = await startBackend({ DATABASE_URL: database.url, ROLE: "worker", PLAYGROUND: folder })
    try {
      assert.strictEqual((await get("/", {}, own.url)).status, 404)
      assert.strictEqual((await get(`/assets/${assets()[0]}`, {}, own.url)).status, 404)
    } finally {
      await own.stop()
    }
  })
})

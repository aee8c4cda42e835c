import { connect } from "node:net"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import type { Person, Reply } from "../support/Client.ts"
import { createDatabase, forgetThrottles, type TestDatabase } from "../support/Database.ts"
import { download, upload } from "../support/files.ts"
import { isoTime, unknownId, uuidV7 } from "../support/responses.ts"
import { times } from "../support/times.ts"
import { newUser } from "../support/Users.ts"
import { until } from "../support/wait.ts"
import { noise, pdf, png, sha256, wav } from "./samples.ts"

const mebibyte = 1_048_576
let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>

beforeAll(async () => {
  database = await createDatabase()
  backend = await startBackend({ DATABASE_URL: database.url, LOG_LEVEL: "none", BASIC_STORAGE_MB: "30" })
})
afterAll(async () => {
  await backend.stop()
  await database.drop()
})

const enter = () => newUser(backend.url, database)
const put = (person: Person, type: string, bytes: Uint8Array, options = {}) => upload(backend.url, person, type, bytes, options)
const outcome = ({ body, status }: Reply) => `${status} ${body?.code ?? ""}`.trim()

/** What a user's files take, by the counter, by the rows, and in chunks. */
const storageOf = async (person: Person) => {
  const [row] = await database.query<{ counted: string; rows: string; files: number; chunks: string }>(
    `select (select file_bytes from users where id = $1) as counted,
      (select coalesce(sum(bytes), 0) from files where user_id = $1) as rows, (select count(*)::int from files where user_id = $1) as files,
      (select coalesce(sum(octet_length(body)), 0) from file_chunks c where user_id = $1
        and exists (select from files f where f.user_id = c.user_id and f.id = c.file_id)) as chunks`,
    [person.userId]
  )
  return { counted: Number(row?.counted), rows: Number(row?.rows), chunks: Number(row?.chunks), files: row?.files }
}

/** Runs a task of the worker now. */
const run = async (task: string) => {
  await database.query("select graphile_worker.add_job($1, '{}', job_key => $1)", [task])
  await until(`${task} has run`, async () => {
    const rows = await database.query("select 1 from graphile_worker.jobs where key = $1", [task])
    return rows.length === 0
  })
}

describe("POST /files", { timeout: 120_000 }, () => {
  it.each([
    ["an image", "image/png", png(), { type: "image/png", tokens: 1_100, width: 2, height: 3, pages: null }],
    [
      "a PDF",
      "application/pdf",
      pdf({ pages: 7 }),
      { type: "application/pdf", tokens: 3_920, width: null, height: null, pages: 7 }
    ],
    [
      "a PDF with object streams",
      "application/pdf",
      pdf({ pages: 12, compressed: true }),
      { type: "application/pdf", tokens: 6_720, width: null, height: null, pages: 12 }
    ],
    ["a sound", "audio/x-wav", wav(), { type: "audio/wav", tokens: 33, width: null, height: null, pages: null }],
    [
      "a text",
      "text/markdown; charset=UTF-8",
      Buffer.from("# Löms"),
      { type: "text/markdown", tokens: 2, width: null, height: null, pages: null }
    ]
  ])("stores %s and returns it byte for byte", async (_, type, bytes, expected) => {
    const ada = await enter()
    const created = await put(ada, type, bytes, { name: "loom" })
    assert.strictEqual(outcome(created), "201")
    const { createdAt, expiresAt, id, ...rest } = created.body
    assert.match(id, uuidV7)
    assert.match(createdAt, isoTime)
    assert.approximately(Date.parse(expiresAt) - Date.parse(createdAt), 86_400_000, 60_000)
    assert.deepStrictEqual(rest, { name: "loom", bytes: bytes.length, sha256: sha256(bytes), ...expected })
    assert.strictEqual(created.headers.get("location"), `/files/${id}`)
    const got = await download(backend.url, ada, id)
    assert.deepStrictEqual([got.status, got.bytes], [200, bytes])
    assert.deepStrictEqual((await ada.call("GET", `/files/${id}`)).body, created.body)
  })

  it("stores files of several chunks, with and without a length", async () => {
    const ada = await enter()
    for (const chunked of [false, true]) {
      for (const length of [262_144, 262_145, 5 * mebibyte]) {
        const bytes = png({ bytes: length, seed: `${chunked}${length}` })
        assert.strictEqual(bytes.length, length)
        const created = await put(ada, "image/png", bytes, { chunked })
        assert.strictEqual(outcome(created), "201", created.text)
        assert.isTrue((await download(backend.url, ada, created.body.id)).bytes.equals(bytes))
      }
    }
    const storage = await storageOf(ada)
    assert.deepStrictEqual(storage, {
      counted: storage.chunks,
      rows: storage.chunks,
      chunks: 2 * (5 * mebibyte + 524_289),
      files: 6
    })
  })

  it("returns the file that the user has for the same bytes, and stores them once", async () => {
    const ada = await enter()
    const first = await put(ada, "image/png", png(), { name: "one" })
    const again = await put(ada, "image/png", png(), { name: "two" })
    assert.deepStrictEqual([outcome(again), again.body.id, again.body.name], ["200", first.body.id, "one"])
    assert.strictEqual((await storageOf(ada)).files, 1)
    const other = await put(await enter(), "image/png", png())
    assert.strictEqual(outcome(other), "201")
    assert.notStrictEqual(other.body.id, first.body.id)
  })

  it("replays an idempotency key without storing the body again, and refuses another body", async () => {
    const ada = await enter()
    const headers = { "idempotency-key": "k1" }
    const first = await put(ada, "text/plain", Buffer.from("one"), { headers })
    const again = await put(ada, "text/plain", Buffer.from("one"), { headers })
    assert.deepStrictEqual([outcome(again), again.body], ["201", first.body])
    assert.strictEqual(again.headers.get("idempotent-replayed"), "true")
    assert.isNull(first.headers.get("idempotent-replayed"))
    assert.strictEqual(outcome(await put(ada, "text/plain", Buffer.from("two"), { headers })), "422 idempotency_key_reused")
    const parallel = await Promise.all(
      times(5, () => put(ada, "text/plain", Buffer.from("three"), { headers: { "idempotency-key": "k2" } }))
    )
    assert.deepStrictEqual(new Set(parallel.map(outcome)), new Set(["201"]))
    assert.strictEqual(new Set(parallel.map(({ body }) => body.id)).size, 1)
    assert.strictEqual((await storageOf(ada)).files, 2)
  })

  it("takes the name from the query, or from Content-Disposition, and keeps nothing deceptive of it", async () => {
    const ada = await enter()
    const named = async (seed: string, options: object) => (await put(ada, "text/plain", Buffer.from(seed), options)).body.name
    assert.strictEqual(await named("1", {}), "file")
    assert.strictEqual(
      await named("2", { headers: { "content-disposition": "attachment; filename*=UTF-8''L%C3%B6m.txt" } }),
      "Löm.txt"
    )
    assert.strictEqual(await named("3", { headers: { "content-disposition": 'attachment; filename="a b.txt"' } }), "a b.txt")
    assert.strictEqual(await named("4", { name: "../../etc/pass\r\nwd\u202etxt.exe" }), "passwdtxt.exe")
    assert.strictEqual(await named("5", { name: "é".repeat(255) }), "é".repeat(255))
    assert.strictEqual(
      outcome(await put(ada, "text/plain", Buffer.from("6"), { name: "é".repeat(256) })),
      "400 validation_failed"
    )
  })

  const cases: ReadonlyArray<readonly [string, string, Uint8Array, string]> = [
    ["an empty body", "image/png", Buffer.alloc(0), "400 file_empty"],
    ["a GIF", "image/gif", Buffer.from("GIF89a"), "415 file_type_not_supported"],
    ["a video", "video/mp4", Buffer.from("x"), "415 file_type_not_supported"],
    ["text of another charset", "text/plain; charset=latin1", Buffer.from("x"), "415 file_type_not_supported"],
    ["a PNG that says it is a PDF", "application/pdf", png(), "422 file_unreadable"],
    ["a PDF that says it is a PNG", "image/png", pdf(), "422 file_unreadable"],
    ["HTML that says it is a PNG", "image/png", Buffer.from("<html><script>alert(1)</script>"), "422 file_unreadable"],
    ["an image without a header", "image/png", png().subarray(0, 20), "422 file_unreadable"],
    ["an encrypted PDF", "application/pdf", pdf({ encrypted: true }), "422 file_unreadable"],
    [
      "an encrypted PDF with object streams",
      "application/pdf",
      pdf({ encrypted: true, compressed: true }),
      "422 file_unreadable"
    ],
    ["a PDF that was cut", "application/pdf", pdf({ bytes: 9_000 }).subarray(0, 8_000), "422 file_unreadable"],
    ["a PDF of 201 pages", "application/pdf", pdf({ pages: 201 }), "413 file_too_large"],
    ["text that is not UTF-8", "text/plain", Buffer.from([0x61, 0xff]), "422 file_unreadable"],
    ["text that ends in a character", "text/plain", Buffer.from("é").subarray(0, 1), "422 file_unreadable"],
    ["text with a NUL", "application/json", Buffer.from("a\u0000"), "422 file_unreadable"],
    ["an image of one byte too many", "image/png", png({ bytes: 10 * mebibyte + 1 }), "413 file_too_large"],
    ["a text of one byte too many", "text/x-python", Buffer.alloc(mebibyte + 1, "a"), "413 file_too_large"]
  ]
  it.each(cases)("refuses %s, and keeps nothing of it", async (_, type, bytes, expected) => {
    const ada = await enter()
    for (const chunked of [false, true]) {
      assert.strictEqual(outcome(await put(ada, type, bytes, { chunked })), expected)
    }
    assert.deepStrictEqual(await storageOf(ada), { counted: 0, rows: 0, chunks: 0, files: 0 })
  })

  it("accepts the largest image and the largest text", async () => {
    const ada = await enter()
    assert.strictEqual(outcome(await put(ada, "image/png", png({ bytes: 10 * mebibyte }))), "201")
    assert.strictEqual(outcome(await put(ada, "text/plain", Buffer.alloc(mebibyte, "a"), { chunked: true })), "201")
  })

  it("refuses a declared length over the limit before the body has come", async () => {
    const ada = await enter()
    const { port } = new URL(backend.url)
    const answer = await new Promise<string>((resolve) => {
      let text = ""
      const socket = connect(Number(port), "127.0.0.1", () =>
        socket.write(
          `POST /files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ada.token}\r\nContent-Type: image/png\r\nContent-Length: ${11 * mebibyte}\r\nExpect: 100-continue\r\n\r\n`
        )
      )
      socket.on("data", (data) => (text += String(data)))
      socket.on("close", () => resolve(text))
    })
    assert.match(answer, /^HTTP\/1\.1 413 /)
    assert.match(answer, /connection: close/i)
    assert.match(answer, /"limit":10485760/)
  })

  it("refuses compressed bodies", async () => {
    const ada = await enter()
    const reply = await put(ada, "text/plain", Buffer.from("x"), { headers: { "content-encoding": "gzip" } })
    assert.strictEqual(outcome(reply), "415 file_type_not_supported")
  })

  it("takes sixty files an hour, and no more", async () => {
    const ada = await enter()
    const replies = await Promise.all(times(62, (n) => put(ada, "text/plain", Buffer.from(`file ${n}`))))
    const counts = Object.groupBy(replies, outcome)
    assert.strictEqual(counts["201"]?.length, 60)
    const limited = counts["429 uploads_limited"] ?? []
    assert.lengthOf(limited, 2)
    assert.isAbove(Number(limited[0]?.headers.get("retry-after")), 0)
  })
})

describe("the storage of a user", () => {
  it("is exact under fifty parallel uploads at its limit", { timeout: 240_000 }, async () => {
    const ada = await enter()
    const files = times(50, (n) => png({ bytes: mebibyte, seed: `${n}` }))
    const replies = await Promise.all(files.map((bytes, n) => put(ada, "image/png", bytes, { chunked: n % 2 === 0 })))
    const counts = Object.groupBy(replies, outcome)
    assert.deepStrictEqual(Object.keys(counts).toSorted(), ["201", "409 storage_full"])
    assert.isAtMost(counts["201"]?.length ?? 0, 30)
    const limit = counts["409 storage_full"]?.[0]?.body.limit
    assert.strictEqual(limit, 30 * mebibyte)
    await forgetThrottles(database)
    // Uploads without a length may give each other's last megabyte away; one with a length takes it.
    for (const bytes of files) await put(ada, "image/png", bytes)
    const full = 30 * mebibyte
    assert.deepStrictEqual(await storageOf(ada), { counted: full, rows: full, chunks: full, files: 30 })
  })

  it("is given back by a deletion, and the bytes are removed", async () => {
    const ada = await enter()
    const { body } = await put(ada, "image/png", png({ bytes: 3 * mebibyte, seed: "gone" }))
    assert.strictEqual(outcome(await ada.call("DELETE", `/files/${body.id}`)), "204")
    assert.strictEqual((await storageOf(ada)).counted, 0)
    for (const path of [`/files/${body.id}`, `/files/${body.id}/content`]) {
      assert.strictEqual(outcome(await ada.call("GET", path)), "404 file_not_found")
    }
    assert.strictEqual(outcome(await ada.call("DELETE", `/files/${body.id}`)), "404 file_not_found")
    await run("remove_files")
    assert.lengthOf(await database.query("select 1 from file_chunks where file_id = $1", [body.id]), 0)
    assert.lengthOf(await database.query("select 1 from file_removals where file_id = $1", [body.id]), 0)
  })

  it("loses a file that no question used for a day", async () => {
    const ada = await enter()
    const { body } = await put(ada, "text/plain", Buffer.from("unused"))
    await database.query("update files set expires_at = now() - interval '1 second' where id = $1", [body.id])
    assert.strictEqual(outcome(await ada.call("GET", `/files/${body.id}`)), "404 file_not_found")
    await run("expire_files")
    await run("remove_files")
    assert.deepStrictEqual(await storageOf(ada), { counted: 0, rows: 0, chunks: 0, files: 0 })
    assert.lengthOf(await database.query("select 1 from file_chunks where file_id = $1", [body.id]), 0)
  })
})

describe("an upload that is cut", () => {
  it("leaves nothing", async () => {
    const ada = await enter()
    const { port } = new URL(backend.url)
    const socket = connect(Number(port), "127.0.0.1")
    socket.write(
      `POST /files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ada.token}\r\nContent-Type: image/png\r\nContent-Length: ${3 * mebibyte}\r\n\r\n`
    )
    socket.write(png({ bytes: 3 * mebibyte }).subarray(0, 2 * mebibyte))
    await until("some chunks are stored", async () => (await storageOf(ada)).chunks >= mebibyte)
    assert.strictEqual((await storageOf(ada)).counted, 3 * mebibyte)
    socket.destroy()
    await until("the upload is discarded", async () => (await storageOf(ada)).files === 0)
    assert.strictEqual((await storageOf(ada)).counted, 0)
    await run("remove_files")
    assert.lengthOf(await database.query("select 1 from file_chunks where user_id = $1", [ada.userId]), 0)
  })
})

describe("GET /files/:id/content", () => {
  it("answers ranges, conditions and HEAD, and never as a page", async () => {
    const ada = await enter()
    const bytes = Buffer.from(`<html>${noise(400_000, "page").toString("hex")}`)
    const { body } = await put(ada, "text/html", bytes, { name: 'Löm "1".html' })
    const get = (headers: Record<string, string>) => download(backend.url, ada, body.id, headers)
    const whole = await get({ "accept-encoding": "gzip" })
    assert.isTrue(whole.bytes.equals(bytes))
    const tag = `"${sha256(bytes)}"`
    const shown = Object.fromEntries(
      [
        "etag",
        "content-type",
        "content-length",
        "content-disposition",
        "content-security-policy",
        "x-content-type-options",
        "accept-ranges",
        "cache-control",
        "content-encoding"
      ].map((name) => [name, whole.headers.get(name)])
    )
    assert.deepStrictEqual(shown, {
      etag: tag,
      "content-type": "text/plain; charset=utf-8",
      "content-length": String(bytes.length),
      "content-disposition": `attachment; filename="L_m _1_.html"; filename*=UTF-8''L%C3%B6m%20%221%22.html`,
      "content-security-policy": "sandbox; default-src 'none'",
      "x-content-type-options": "nosniff",
      "accept-ranges": "bytes",
      "cache-control": "private, no-cache, no-transform",
      "content-encoding": null
    })
    for (const [range, from, to] of [
      ["bytes=0-0", 0, 0],
      ["bytes=262143-262144", 262_143, 262_144],
      ["bytes=100000-600000", 100_000, 600_000],
      ["bytes=-5", bytes.length - 5, bytes.length - 1],
      ["bytes=5-", 5, bytes.length - 1],
      [`bytes=7-${bytes.length * 2}`, 7, bytes.length - 1]
    ] as const) {
      const part = await get({ range })
      assert.deepStrictEqual([part.status, part.headers.get("content-range")], [206, `bytes ${from}-${to}/${bytes.length}`])
      assert.isTrue(part.bytes.equals(bytes.subarray(from, to + 1)), range)
    }
    for (const range of ["bytes=2-1", "bytes=0-1,4-5", "lines=1-2", "bytes=-"]) {
      assert.strictEqual((await get({ range })).status, 200, range)
    }
    const beyond = await get({ range: `bytes=${bytes.length}-` })
    assert.deepStrictEqual([beyond.status, beyond.headers.get("content-range")], [416, `bytes */${bytes.length}`])
    assert.strictEqual((await get({ "if-none-match": tag })).status, 304)
    assert.strictEqual((await get({ "if-none-match": '"other"' })).status, 200)
    assert.strictEqual((await get({ range: "bytes=0-1", "if-range": tag })).status, 206)
    assert.strictEqual((await get({ range: "bytes=0-1", "if-range": '"other"' })).status, 200)
    const head = await ada.call("HEAD", `/files/${body.id}/content`)
    assert.deepStrictEqual([head.status, head.headers.get("content-length"), head.text], [200, String(bytes.length), ""])
  })
})

describe("GET /files", () => {
  it("lists the user's own files, newest first, by pages", async () => {
    const ada = await enter()
    const mallory = await enter()
    const ids: Array<string> = []
    for (const n of times(5, (each) => each)) ids.unshift((await put(ada, "text/plain", Buffer.from(`${n}`))).body.id)
    const first = await ada.call("GET", "/files?limit=3")
    assert.deepStrictEqual(
      first.body.data.map(({ id }: { id: string }) => id),
      ids.slice(0, 3)
    )
    const second = await ada.call("GET", `/files?limit=3&cursor=${first.body.nextCursor}`)
    assert.deepStrictEqual(
      second.body.data.map(({ id }: { id: string }) => id),
      ids.slice(3)
    )
    assert.deepStrictEqual((await mallory.call("GET", "/files")).body.data, [])
    for (const id of [ids[0], unknownId]) {
      for (const [method, path] of [
        ["GET", ""],
        ["GET", "/content"],
        ["DELETE", ""]
      ]) {
        assert.strictEqual(outcome(await mallory.call(method ?? "", `/files/${id}${path}`)), "404 file_not_found")
      }
    }
  })
})

describe("ATTACHMENTS", () => {
  it.each([
    ["pro", "http://localhost"],
    ["off", null]
  ])("%s refuses the uploads of Basic users", async (attachments, address) => {
    const limited = await startBackend({ DATABASE_URL: database.url, ROLE: "api", LOG_LEVEL: "none", ATTACHMENTS: attachments })
    try {
      const ada = await newUser(limited.url, database)
      const reply = await upload(limited.url, ada, "text/plain", Buffer.from("x"))
      assert.strictEqual(outcome(reply), "403 attachments_not_in_plan")
      if (address === null) assert.isNull(reply.body.upgradeUrl)
      else assert.include(reply.body.upgradeUrl, address)
    } finally {
      await limited.stop()
    }
  })
})

import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startS3Simulator } from "../../simulators/s3/S3Simulator.ts"
import type { Person } from "../support/Client.ts"
import { download, upload } from "../support/files.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { exchange, read, share, tokenOf } from "./sharing.ts"

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({ LOG_LEVEL: "none", BASIC_DAILY_PROMPTS: "1000" })
})
afterAll(() => backends.stop())

const base = () => backends.urls[0] ?? ""
const text = Buffer.from("A text about looms, which nobody else has.")

/** A room with a file in its first and its third question. */
const roomWithFiles = async (person: Person, of = backends) => {
  const url = of.urls[0] ?? ""
  const files: Array<string> = []
  for (const name of ["looms <b>.txt", "later.txt"]) {
    const bytes = Buffer.concat([text, Buffer.from(name)])
    files.push((await upload(url, person, "text/plain", bytes, { name })).body.id)
  }
  const [first = "", later = ""] = files
  const room = await person.room({ title: "Looms" })
  const ask = (content: string, attachments: ReadonlyArray<string> = []) => person.ask(room, content, { wait: 30, attachments })
  await ask("One?", [first])
  const { reply } = await exchange(person, room, "Two?")
  await ask("Three?", [later])
  return { room, upTo: reply, first, later }
}

const bytesAt = async (path: string, headers: Record<string, string> = {}, url = base()) => {
  const response = await fetch(url + path, { headers, redirect: "manual", signal: AbortSignal.timeout(60_000) })
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) }
}

describe("a link with `attachments`", () => {
  it("lists the files of its messages, and has their bytes with the headers of a download", async () => {
    const ada = await backends.newUser()
    const { first, room, upTo } = await roomWithFiles(ada)
    const made = await share(ada, room, { attachments: true, upTo })
    assert.deepStrictEqual([made.status, made.body.attachments], [201, true])
    assert.deepStrictEqual((await ada.call("GET", "/shares")).body.data[0].attachments, true)
    const token = tokenOf(made)
    const { body } = await read(base(), token)
    const url = `/share/${token}/files/0/0`
    assert.deepStrictEqual(body.messages[0].attachments, [
      { name: "looms <b>.txt", type: "text/plain", bytes: text.length + 13, url }
    ])
    for (const message of body.messages.slice(1)) assert.notProperty(message, "attachments")
    assert.notInclude(JSON.stringify(body), first)

    const own = await download(base(), ada, first)
    const shown = await bytesAt(url)
    assert.strictEqual(shown.status, 200)
    assert.isTrue(shown.bytes.equals(own.bytes))
    const names = ["content-type", "content-disposition", "content-security-policy", "etag", "accept-ranges", "cache-control"]
    for (const name of [...names, "x-content-type-options", "content-length"]) {
      assert.strictEqual(shown.headers.get(name), own.headers.get(name), name)
      assert.isNotNull(shown.headers.get(name), name)
    }
    assert.strictEqual(shown.headers.get("x-robots-tag"), "noindex")
    const part = await bytesAt(url, { range: "bytes=2-5" })
    assert.deepStrictEqual([part.status, part.bytes.toString()], [206, "text"])
    assert.strictEqual((await bytesAt(url, { range: "bytes=9999-" })).status, 416)
    assert.strictEqual((await bytesAt(url, { "if-none-match": shown.headers.get("etag") ?? "" })).status, 304)

    const page = await read(base(), token, "", { accept: "text/html" })
    assert.include(page.text, `<a href="${url}" rel="nofollow">looms &lt;b&gt;.txt (text/plain)</a>`)
    // On a later page of the list the places are those of the whole conversation.
    const whole = tokenOf(await share(ada, room, { attachments: true }))
    const { nextCursor } = (await read(base(), whole, "?limit=3")).body
    const rest = (await read(base(), whole, `?limit=3&after=${encodeURIComponent(nextCursor)}`)).body
    const [later] = rest.messages[1].attachments
    assert.deepStrictEqual(later.url, `/share/${whole}/files/4/0`)
    assert.include((await bytesAt(later.url)).bytes.toString(), "later.txt")
  })

  it("has no file of a message outside of it, and ends with its revocation", async () => {
    const ada = await backends.newUser()
    const { first, room, upTo } = await roomWithFiles(ada)
    const made = await share(ada, room, { attachments: true, upTo })
    const token = tokenOf(made)
    const statusOf = async (path: string) => (await bytesAt(`/share/${token}/files/${path}`)).status
    for (const path of ["0/1", "1/0", "2/0", "3/0", "4/0", "9/9"]) assert.strictEqual(await statusOf(path), 404, path)
    for (const path of ["-1/0", "0/10", "0/x", "1000000/0"]) assert.strictEqual(await statusOf(path), 400, path)
    const wrong = `${token.startsWith("A") ? "B" : "A"}${token.slice(1)}`
    assert.strictEqual((await bytesAt(`/share/${wrong}/files/0/0`)).status, 404)
    const plain = await share(ada, room, { upTo })
    assert.strictEqual(plain.body.attachments, false)
    assert.strictEqual((await bytesAt(`/share/${tokenOf(plain)}/files/0/0`)).status, 404)
    assert.notProperty((await read(base(), tokenOf(plain))).body.messages[0], "attachments")

    assert.strictEqual(await statusOf("0/0"), 200)
    await ada.call("DELETE", `/files/${first}`)
    assert.strictEqual(await statusOf("0/0"), 404)
    assert.strictEqual((await read(base(), token)).body.messages[0].attachments[0].url, null)

    const other = await roomWithFiles(ada)
    const again = await share(ada, other.room, { attachments: true })
    const path = `/share/${tokenOf(again)}/files/0/0`
    assert.strictEqual((await bytesAt(path)).status, 200)
    assert.strictEqual((await ada.call("DELETE", `/shares/${again.body.id}`)).status, 204)
    assert.strictEqual((await bytesAt(path)).status, 404)
  })

  it("sends the bytes of S3 itself, so that its revocation ends them at once", { timeout: 60_000 }, async () => {
    const s3 = await startS3Simulator()
    const { accessKeyId, region, secretAccessKey } = s3.credentials
    const stored = await startBackends({
      LOG_LEVEL: "none",
      S3_ENDPOINT: s3.url,
      S3_BUCKET: s3.bucket,
      S3_REGION: region,
      S3_ACCESS_KEY_ID: accessKeyId,
      S3_SECRET_ACCESS_KEY: secretAccessKey
    })
    try {
      const ada = await stored.newUser()
      const { room } = await roomWithFiles(ada, stored)
      const token = tokenOf(await share(ada, room, { attachments: true }))
      const shown = await bytesAt(`/share/${token}/files/0/0`, { range: "bytes=2-5" }, stored.urls[0])
      assert.deepStrictEqual([shown.status, shown.bytes.toString()], [206, "text"])
    } finally {
      await stored.stop()
      await s3.stop()
    }
  })
})

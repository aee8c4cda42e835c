import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { AwsClient } from "aws4fetch"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { type S3Simulator, startS3Simulator } from "../../simulators/s3/S3Simulator.ts"
import { startBackend } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { download, upload } from "../support/files.ts"
import { awaitEnd } from "../support/messages.ts"
import { newUser } from "../support/Users.ts"
import { until } from "../support/wait.ts"
import { pdf, png, sha256 } from "./samples.ts"

const mebibyte = 1_048_576
let database: TestDatabase
let gemini: GeminiSimulator
let s3: S3Simulator
let backend: Awaited<ReturnType<typeof startBackend>>

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
  s3 = await startS3Simulator()
  backend = await startBackend({
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: gemini.url,
    LOG_LEVEL: "none",
    S3_ENDPOINT: s3.url,
    S3_BUCKET: s3.bucket,
    S3_REGION: s3.credentials.region,
    S3_ACCESS_KEY_ID: s3.credentials.accessKeyId,
    S3_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey
  })
})
afterAll(async () => {
  await backend.stop()
  await s3.stop()
  await gemini.stop()
  await database.drop()
})
const chunks = async () => (await database.query("select 1 from file_chunks")).length
afterEach(async () => {
  await database.query("select graphile_worker.add_job('remove_files', '{}', job_key => 'remove_files')")
  await until("no chunk is left in Postgres", async () => (await chunks()) === 0)
})

const enter = () => newUser(backend.url, database)
const run = async (task: string) => {
  await database.query("select graphile_worker.add_job($1, '{}', job_key => $1)", [task])
  await until(
    `${task} has run`,
    async () => (await database.query("select 1 from graphile_worker.jobs where key = $1", [task])).length === 0
  )
}

describe("a file in S3", { timeout: 60_000 }, () => {
  it("is stored under the ids of its user and its own, read by a signed address, and removed", async () => {
    const ada = await enter()
    for (const chunked of [false, true]) {
      const bytes = png({ bytes: 3 * mebibyte, seed: `${chunked}` })
      const { body, status } = await upload(backend.url, ada, "image/png", bytes, { name: "löm.png", chunked })
      assert.strictEqual(status, 201)
      const object = s3.objects.get(`${ada.userId}/${body.id}`)
      assert.isTrue(object?.bytes.equals(bytes))
      const sent = await download(backend.url, ada, body.id)
      assert.strictEqual(sent.status, 302)
      const address = sent.headers.get("location") ?? ""
      assert.include(address, `/${s3.bucket}/${ada.userId}/${body.id}?`)
      assert.include(address, "X-Amz-Expires=300")
      const got = await fetch(address)
      assert.deepStrictEqual([got.status, got.headers.get("content-type")], [200, "image/png"])
      assert.include(got.headers.get("content-disposition") ?? "", "filename*=UTF-8''l%C3%B6m.png")
      assert.isTrue(Buffer.from(await got.arrayBuffer()).equals(bytes))
      const forged = await fetch(address.replace(body.id, ada.userId))
      assert.strictEqual(forged.status, 403)
      assert.strictEqual((await ada.call("DELETE", `/files/${body.id}`)).status, 204)
      await run("remove_files")
      assert.isFalse(s3.objects.has(`${ada.userId}/${body.id}`))
    }
  })

  it("that is refused is removed", async () => {
    const ada = await enter()
    const before = s3.objects.size
    const { body, status } = await upload(backend.url, ada, "application/pdf", pdf({ encrypted: true, bytes: 500_000 }))
    assert.deepStrictEqual([status, body.code], [422, "file_unreadable"])
    await run("remove_files")
    assert.strictEqual(s3.objects.size, before)
  })

  it("is read by its pages, through ranges", async () => {
    const ada = await enter()
    const { body } = await upload(backend.url, ada, "application/pdf", pdf({ pages: 9, bytes: 700_000, compressed: true }))
    assert.strictEqual(body.pages, 9)
  })

  it("reaches the model by an address that Google fetches", async () => {
    const ada = await enter()
    const room = await ada.room()
    const bytes = png({ bytes: 400_000, seed: "address" })
    const picture = (await upload(backend.url, ada, "image/png", bytes)).body.id
    const text = (await upload(backend.url, ada, "text/plain", Buffer.from("Ada's note"))).body.id
    const { body } = await awaitEnd(ada, await ada.ask(room, "What is at the address?", { attachments: [picture, text] }))
    assert.strictEqual(body.status, "completed", JSON.stringify(body.error))
    const [call] = gemini.log("What is at the address?")
    assert.deepStrictEqual(call?.files, [
      { mimeType: "image/png", bytes: bytes.length, sha256: sha256(bytes), source: "address" }
    ])
    assert.include(JSON.stringify(call?.body), "X-Amz-Expires=900")
    assert.include(JSON.stringify(call?.body), "Ada's note")
  })
})

describe("an S3 that fails", { timeout: 60_000 }, () => {
  it.each([503, "drop"] as const)("once (%s) is asked again", async (kind) => {
    const ada = await enter()
    s3.addFault({ kind, times: 1, method: "PUT" })
    const bytes = png({ bytes: 600_000, seed: `once ${kind}` })
    const { body, status } = await upload(backend.url, ada, "image/png", bytes)
    assert.strictEqual(status, 201)
    assert.isTrue(s3.objects.get(`${ada.userId}/${body.id}`)?.bytes.equals(bytes))
  })

  it.each([503, 403] as const)("for good (%s) refuses uploads with 503, and keeps nothing", async (kind) => {
    const ada = await enter()
    s3.addFault({ kind, times: kind === 503 ? 3 : 1, method: "PUT" })
    const { body, headers, status } = await upload(backend.url, ada, "image/png", png({ seed: `for good ${kind}` }))
    assert.deepStrictEqual([status, body.code], [503, "storage_unavailable"])
    assert.strictEqual(headers.get("retry-after"), "5")
    const [user] = await database.query("select file_bytes::int as bytes from users where id = $1", [ada.userId])
    assert.strictEqual(user?.["bytes"], 0)
  })

  it("while a reply is made has the reply tried again", async () => {
    const ada = await enter()
    const room = await ada.room()
    const id = (await upload(backend.url, ada, "text/plain", Buffer.from("tried again"))).body.id
    s3.addFault({ kind: "cut", times: 1, method: "GET" })
    const { body } = await awaitEnd(ada, await ada.ask(room, "Try.", { attachments: [id] }))
    assert.deepStrictEqual([body.status, body.attempt > 1], ["completed", true])
  })
})

describe("the simulator", () => {
  it("refuses wrong keys, changed bodies and addresses that have expired", async () => {
    const { accessKeyId, region, secretAccessKey } = s3.credentials
    const address = `${s3.url}/${s3.bucket}/a/b c`
    const right = new AwsClient({ accessKeyId, secretAccessKey, region, service: "s3", retries: 0 })
    const wrong = new AwsClient({ accessKeyId, secretAccessKey: `${secretAccessKey}x`, region, service: "s3", retries: 0 })
    const hash = { "x-amz-content-sha256": sha256(Buffer.from("body")) }
    assert.strictEqual((await right.fetch(address, { method: "PUT", body: "body", headers: hash })).status, 200)
    assert.strictEqual((await wrong.fetch(address, { method: "PUT", body: "body", headers: hash })).status, 403)
    assert.strictEqual((await right.fetch(address, { method: "PUT", body: "other", headers: hash })).status, 400)
    assert.strictEqual((await fetch(address)).status, 403)
    const signed = async (expires: number, datetime?: string) => {
      const aws = { signQuery: true, ...(datetime === undefined ? {} : { datetime }) }
      return (await right.sign(`${address}?X-Amz-Expires=${expires}`, { aws })).url
    }
    assert.strictEqual((await fetch(await signed(60))).status, 200)
    assert.strictEqual((await fetch(await signed(60, "20200101T000000Z"))).status, 403)
    assert.strictEqual((await fetch((await signed(60)).replace("X-Amz-Expires=60", "X-Amz-Expires=6000"))).status, 403)
    assert.strictEqual((await right.fetch(address, { method: "DELETE" })).status, 204)
  })
})

import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { assertProblem } from "../auth/People.ts"
import { startBackend } from "../support/Backend.ts"
import { request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>

beforeAll(async () => {
  database = await createDatabase()
  const settings = {
    DATABASE_URL: database.url,
    ROLE: "api",
    ADMIN_TOKEN: "the operators' token, their next token",
    TRUSTED_PROXIES: "1"
  }
  backend = await startBackend(settings)
})
afterAll(async () => {
  await backend.stop()
  await database.drop()
})

const scrape = (token: string, address: string) =>
  request(backend.url, "GET", "/metrics", { token, headers: { "x-forwarded-for": address } })

describe("the admin token", () => {
  it("can be guessed wrong ten times from one address, which is then refused for a while", async () => {
    for (let n = 0; n < 10; n++) assertProblem(await scrape(`guess ${n}`, "203.0.113.7"), 401, "unauthenticated")
    assertProblem(await scrape("guess", "203.0.113.7"), 429, "too_many_attempts")
    assertProblem(await scrape("the operators' token", "203.0.113.7"), 429, "too_many_attempts")
    assert.strictEqual((await scrape("the operators' token", "203.0.113.8")).status, 200)
  })

  it("can be replaced: the old one and the new one are right at the same time", async () => {
    for (const token of ["the operators' token", "their next token"])
      assert.strictEqual((await scrape(token, "203.0.113.10")).status, 200)
    const both = "the operators' token, their next token"
    for (const token of [both, ""]) assertProblem(await scrape(token, "203.0.113.10"), 401, "unauthenticated")
  })

  it("is not used up by right ones", async () => {
    for (let n = 0; n < 15; n++) assert.strictEqual((await scrape("the operators' token", "203.0.113.9")).status, 200)
  })
})

import { assert, describe, it } from "vitest"
import { runToEnd } from "../support/runToEnd.ts"
import { base64, production } from "./production.ts"

describe("the process", () => {
  it("prints one line with the setting's name and exits with 1", async () => {
    const { code, stderr, stdout } = await runToEnd("src/main.ts", { ...production, JWT_KEYS: `k1:${base64("hunter2")}` })
    assert.strictEqual(stderr, "cannot start: JWT_KEYS: key 1 must have at least 32 bytes of base64\n")
    assert.strictEqual(stdout, "")
    assert.strictEqual(code, 1)
  })

  it("names everything that is missing, one line each", async () => {
    const { code, stderr } = await runToEnd("src/main.ts", { OTP_DELIVERY: "webhook", ADMIN_TOKEN: "hunter2" })
    assert.strictEqual(
      stderr,
      [
        "DATABASE_URL: is required (postgres://…)",
        "APP_URL: is required in production (https://…)",
        "JWT_KEYS: is required (kid:base64, 32 bytes or more: openssl rand -base64 32)",
        "OTP_WEBHOOK_URL: is required with OTP_DELIVERY=webhook",
        "GEMINI_API_KEY: is required",
        "STRIPE_SECRET_KEY: is required (or BILLING=off)",
        "STRIPE_WEBHOOK_SECRETS: is required (or BILLING=off)",
        "STRIPE_PRO_PRICE_ID: is required (or BILLING=off)",
        "ADMIN_TOKEN: must have at least 16 characters in production"
      ]
        .map((line) => `cannot start: ${line}\n`)
        .join("")
    )
    assert.strictEqual(code, 1)
  })

  it("names no setting of Stripe with BILLING=off", async () => {
    const { stderr } = await runToEnd("src/main.ts", { BILLING: "off" })
    assert.notInclude(stderr, "STRIPE")
    assert.include(stderr, "GEMINI_API_KEY")
  })

  it("treats an empty setting as a missing one", async () => {
    const { code, stderr } = await runToEnd("src/main.ts", { ...production, DATABASE_URL: "" })
    assert.match(stderr, /^cannot start: DATABASE_URL: [^\n]+\n$/)
    assert.strictEqual(code, 1)
  })

  it("names the database's URL without a part of it when it cannot be read", async () => {
    for (const url of ["postgres://app:hunter2/2@127.0.0.1/chat", "postgres://app:hunter2%@127.0.0.1/chat", "hunter2"]) {
      const { code, stderr, stdout } = await runToEnd("src/main.ts", { ...production, DATABASE_URL: url })
      assert.strictEqual(code, 1)
      assert.match(stderr, /^cannot start: DATABASE_URL: /)
      assert.notInclude(stdout + stderr, "hunter2")
    }
  })
})

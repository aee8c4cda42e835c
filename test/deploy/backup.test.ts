import { execFile } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { freePort } from "../../dev/freePort.ts"
import { type EmbeddedPostgres, startPostgres } from "../../dev/EmbeddedPostgres.ts"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startStripeSimulator, type StripeSimulator } from "../../simulators/stripe/StripeSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn, type Person, personAt } from "../support/Client.ts"
import { until } from "../support/wait.ts"

const run = promisify(execFile)

/** The `bin` folder of an installed Postgres that also has the programs for dumps, which the packaged one lacks. */
const findBinaries = (): string | undefined => {
  const root = "/usr/lib/postgresql"
  const versions = existsSync(root) ? readdirSync(root).toSorted((one, other) => Number(other) - Number(one)) : []
  return versions
    .filter((version) => Number(version) >= 15)
    .map((version) => join(root, version, "bin"))
    .find((folder) => ["initdb", "postgres", "pg_dump", "pg_restore"].every((name) => existsSync(join(folder, name))))
}
const binaries = findBinaries()
if (binaries === undefined && process.env["REQUIRE_TOOLS"] !== undefined) throw new Error("no pg_dump of Postgres 15 or newer")
const reason = binaries === undefined ? ": skipped, as no Postgres with pg_dump is installed (Debian: postgresql-15)" : ""

const webhookSecret = "whsec_of_the_tests"

describe.skipIf(binaries === undefined)(`a backup by pg_dump${reason}`, () => {
  let postgres: EmbeddedPostgres
  let gemini: GeminiSimulator
  let stripe: StripeSimulator
  let settings: Record<string, string>
  let folder: string
  const urlOf = (database: string) => Object.assign(new URL(postgres.url), { pathname: database }).href
  const query = async (database: string, text: string) => {
    const client = new pg.Client({ connectionString: urlOf(database) })
    await client.connect()
    return client.query(text).finally(() => client.end())
  }

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "backup-"))
    postgres = await startPostgres({ ephemeral: true, binDir: binaries })
    gemini = await startGeminiSimulator({ chunkMillis: 1 })
    const port = String(await freePort())
    stripe = await startStripeSimulator({ webhooks: [{ url: `http://127.0.0.1:${port}/webhook/stripe`, secret: webhookSecret }] })
    settings = {
      PORT: port,
      MIGRATE: "on",
      LOG_LEVEL: "none",
      GEMINI_BASE_URL: gemini.url,
      STRIPE_SECRET_KEY: "sk_test_simulated",
      STRIPE_WEBHOOK_SECRETS: webhookSecret,
      STRIPE_PRO_PRICE_ID: stripe.priceId,
      STRIPE_API_BASE: stripe.url
    }
    for (const name of ["chat", "restored"]) await query("postgres", `create database ${name}`)
  })
  afterAll(async () => {
    await stripe.stop()
    await gemini.stop()
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const tierOf = async (person: Person) => (await person.call("GET", "/subscription/status")).body.tier
  const pay = async (person: Person) => {
    const checkout = await person.call("POST", "/subscribe/pro")
    stripe.checkout({ session: checkout.body.sessionId, action: "pay" })
    await until("the user is Pro", async () => (await tierOf(person)) === "pro", { seconds: 30 })
  }
  const subscriptionOf = async (database: string, person: Person) => {
    const { rows } = await query(database, `select id from subscriptions where user_id = '${person.userId}'`)
    return String(rows[0]?.id)
  }

  it("restores conversations, and Stripe's reconciliation brings what came after it up to date", async () => {
    const before = await startBackend({ ...settings, DATABASE_URL: urlOf("chat") })
    const [buyer, leaver] = [await logIn(before.url), await logIn(before.url)]
    const room = await buyer.room({ title: "Kept" })
    const answered = await buyer.ask(room, "[[say Before the backup.]]", { wait: 20 })
    assert.strictEqual(answered.body.reply.content, "Before the backup.")
    await pay(leaver)
    const dump = join(folder, "chat.dump")
    await run(join(binaries ?? "", "pg_dump"), ["--format=custom", `--file=${dump}`, urlOf("chat")])

    // What the backup does not have: a purchase, an end and a question.
    await pay(buyer)
    stripe.setSubscriptionStatus({ subscription: await subscriptionOf("chat", leaver), status: "canceled" })
    await until("the user is Basic", async () => (await tierOf(leaver)) === "basic", { seconds: 30 })
    await buyer.ask(room, "[[say After the backup.]]", { wait: 20 })
    await before.stop()
    await query("postgres", "drop database chat with (force)")

    await run(join(binaries ?? "", "pg_restore"), ["--exit-on-error", "--no-owner", `--dbname=${urlOf("restored")}`, dump])
    const after = await startBackend({ ...settings, MIGRATE: "off", DATABASE_URL: urlOf("restored") })
    try {
      const [restoredBuyer, restoredLeaver] = [personAt(after.url, buyer), personAt(after.url, leaver)]
      const messages = (await restoredBuyer.call("GET", `/chatroom/${room}/messages`)).body.data
      assert.deepStrictEqual(messages.map(({ content }: { readonly content: string }) => content).toSorted(), [
        "Before the backup.",
        "[[say Before the backup.]]"
      ])
      assert.deepStrictEqual([await tierOf(restoredBuyer), await tierOf(restoredLeaver)], ["basic", "pro"])

      await query("restored", "select id from graphile_worker.add_job('stripe_reconcile_all')")
      await until(
        "the tiers are those of Stripe",
        async () => (await tierOf(restoredBuyer)) === "pro" && (await tierOf(restoredLeaver)) === "basic",
        { seconds: 30 }
      )
      const next = await restoredBuyer.ask(room, "[[say It goes on.]]", { wait: 20 })
      assert.strictEqual(next.body.reply.content, "It goes on.")
    } finally {
      await after.stop()
    }
  })
})

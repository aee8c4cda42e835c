import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "../../dev/freePort.ts"
import { buildPage } from "../../scripts/web.ts"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startStripeSimulator, type StripeSimulatorOptions } from "../../simulators/stripe/StripeSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { TcpProxy } from "../support/TcpProxy.ts"

/** The product with its built page and both simulators, behind a proxy that can cut the browser's connections. */
export interface Site {
  readonly url: string
  readonly database: TestDatabase
  readonly gemini: GeminiSimulator
  readonly proxy: TcpProxy
  readonly stop: () => Promise<void>
}

const webhookSecret = "whsec_of_the_browser_tests"

export const startSite = async (
  settings: Readonly<Record<string, string>> = {},
  simulator: StripeSimulatorOptions = {}
): Promise<Site> => {
  const folder = mkdtempSync(join(tmpdir(), "page-"))
  await buildPage(folder, { compress: false })
  const database = await createDatabase()
  const gemini = await startGeminiSimulator({ chunkMillis: 5 })
  const port = String(await freePort())
  const proxy = await TcpProxy.start(`http://127.0.0.1:${port}`)
  const url = `http://127.0.0.1:${proxy.port}`
  const stripe = await startStripeSimulator({
    webhooks: [{ url: `http://127.0.0.1:${port}/webhook/stripe`, secret: webhookSecret }],
    ...simulator
  })
  const backend = await startBackend({
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: gemini.url,
    PORT: port,
    APP_URL: url,
    STRIPE_SECRET_KEY: "sk_test_simulated",
    STRIPE_WEBHOOK_SECRETS: webhookSecret,
    STRIPE_PRO_PRICE_ID: stripe.priceId,
    STRIPE_API_BASE: stripe.url,
    BASIC_DAILY_PROMPTS: "1000",
    PLAYGROUND: folder,
    ...settings
  })
  return {
    url,
    database,
    gemini,
    proxy,
    stop: async () => {
      await proxy.stop()
      await backend.stop()
      await stripe.stop()
      await gemini.stop()
      await database.drop()
      rmSync(folder, { recursive: true })
    }
  }
}

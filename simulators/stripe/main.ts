/**
 * Runs the Stripe simulator as a process: `node simulators/stripe/main.ts [port]`, or `PORT`, else a free one.
 * `STRIPE_WEBHOOK_URL` with `STRIPE_WEBHOOK_SECRET` is where its webhooks go; `STRIPE_PRO_PRICE_ID` names its price.
 */
import { startStripeSimulator } from "./StripeSimulator.ts"

const { PORT, STRIPE_PRO_PRICE_ID: priceId, STRIPE_WEBHOOK_SECRET: secret, STRIPE_WEBHOOK_URL: url } = process.env
const simulator = await startStripeSimulator({
  port: Number(process.argv[2] ?? PORT ?? 0),
  ...(url && secret && { webhooks: [{ url, secret }] }),
  ...(priceId && { priceId })
})
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void simulator.stop())
console.log(`ready ${simulator.url}`)

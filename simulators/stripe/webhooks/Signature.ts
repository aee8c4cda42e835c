import { createHmac } from "node:crypto"

/** https://docs.stripe.com/webhooks#verify-manually: HMAC-SHA256 over `${t}.${body}`, one `v1` for each secret. */
export const sign = (body: string, secrets: ReadonlyArray<string>, seconds = realSeconds(), scheme = "v1"): string => {
  const signatures = secrets.map(
    (secret) => `${scheme}=${createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex")}`
  )
  return [`t=${seconds}`, ...signatures].join(",")
}

/** Real time, because receivers compare the signature's time with their own clock. */
export const realSeconds = () => Math.floor(Date.now() / 1000)

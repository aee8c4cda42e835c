export const base64 = (text: string | Uint8Array) => Buffer.from(text).toString("base64")

/** A key that may sign tokens. */
export const goodKey = `k1:${base64("0123456789abcdef0123456789ABCDEF")}`

/** Settings with which a process in production starts; its database does not exist. */
export const production = {
  DATABASE_URL: "postgres://app:database-password@db.example/chat",
  JWT_KEYS: goodKey,
  OTP_DELIVERY: "log",
  GEMINI_API_KEY: "gemini-api-key",
  APP_URL: "https://chat.example",
  BILLING: "off"
}

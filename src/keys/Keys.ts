import { createHmac, timingSafeEqual } from "node:crypto"
import { Context, Effect, Layer, Redacted } from "effect"
import { AppConfig } from "../config/Settings.ts"

/**
 * MACs under the configured keys: the first makes them, all of them are accepted, so that a key can be
 * rotated. A label keeps the uses apart: a cursor's MAC is never a refresh token's.
 */
export class Keys extends Context.Service<
  Keys,
  {
    readonly mac: (label: string, text: string) => string
    /** The MACs under every key, the newest first. */
    readonly macs: (label: string, text: string) => ReadonlyArray<string>
    readonly verify: (label: string, text: string, mac: string) => boolean
  }
>()("chat-backend/keys/Keys") {
  static readonly layer = Layer.effect(
    Keys,
    Effect.gen(function* () {
      const { jwtKeys } = yield* AppConfig
      const [first] = jwtKeys
      const make = (secret: Redacted.Redacted<Uint8Array>, label: string, text: string) =>
        createHmac("sha256", Redacted.value(secret)).update(`${label}\u0000${text}`).digest("base64url")
      const macs = (label: string, text: string) => jwtKeys.map((key) => make(key.secret, label, text))
      const equal = (a: string, b: string) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
      return Keys.of({
        mac: (label, text) => make(first.secret, label, text),
        macs,
        verify: (label, text, mac) => macs(label, text).some((expected) => equal(expected, mac))
      })
    })
  )
}

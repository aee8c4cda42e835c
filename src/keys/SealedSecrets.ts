import { createHash, randomBytes } from "node:crypto"
import { Effect } from "effect"
import { Keys } from "./Keys.ts"

/** A secret as text: 32 random bytes in base64url. */
export const newSecret = (): string => randomBytes(32).toString("base64url")

/** What is stored of a secret that its holder shows. */
export const hashOfSecret = (secret: string): string => createHash("sha256").update(secret).digest("base64url")

export interface SealedSecret {
  readonly sealed: string
  readonly hash: string
}

const xor = (one: string, other: string): string => {
  const pad = Buffer.from(other, "base64url")
  return Buffer.from(Buffer.from(one, "base64url").map((byte, index) => byte ^ (pad[index] ?? 0))).toString("base64url")
}

/**
 * Seals a secret that one response shows, so that a replay of its idempotency key can show it again and the database alone
 * cannot. The pad is a MAC of the row's id under the configured keys; as every id has one secret, no pad is used twice.
 */
export const makeSealedSecrets = Effect.map(Keys, (keys) => {
  const label = (kind: string) => `sealed:${kind}`
  return {
    seal: (kind: string, id: string, secret: string): SealedSecret => ({
      sealed: xor(secret, keys.mac(label(kind), id)),
      hash: hashOfSecret(secret)
    }),
    /** Undefined when the key that sealed it was removed from the settings. */
    open: (kind: string, id: string, { hash, sealed }: SealedSecret): string | undefined =>
      keys
        .macs(label(kind), id)
        .map((pad) => xor(sealed, pad))
        .find((secret) => hashOfSecret(secret) === hash)
  }
})

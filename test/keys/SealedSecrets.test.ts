import { createHmac } from "node:crypto"
import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import { Keys } from "../../src/keys/Keys.ts"
import { hashOfSecret, makeSealedSecrets, newSecret } from "../../src/keys/SealedSecrets.ts"

/** Sealing under these keys, the newest first. */
const withKeys = (...keys: readonly [string, ...Array<string>]) => {
  const mac = (key: string, label: string, text: string) =>
    createHmac("sha256", key).update(`${label}\u0000${text}`).digest("base64url")
  const service = Keys.of({
    mac: (label, text) => mac(keys[0], label, text),
    macs: (label, text) => keys.map((key) => mac(key, label, text)),
    verify: () => false
  })
  return Effect.runSync(makeSealedSecrets.pipe(Effect.provideService(Keys, service)))
}

describe("a sealed secret", () => {
  const secret = newSecret()
  const sealed = withKeys("old").seal("share", "id", secret)

  it("opens under the key that sealed it, also after a newer one was added", () => {
    assert.match(secret, /^[\w-]{43}$/)
    assert.strictEqual(withKeys("old").open("share", "id", sealed), secret)
    assert.strictEqual(withKeys("new", "old").open("share", "id", sealed), secret)
  })

  it("does not open under another key, for another row or of another kind", () => {
    assert.isUndefined(withKeys("new").open("share", "id", sealed))
    assert.isUndefined(withKeys("old").open("share", "other", sealed))
    assert.isUndefined(withKeys("old").open("key", "id", sealed))
  })

  it("does not contain the secret", () => {
    assert.notInclude(JSON.stringify(sealed), secret)
    assert.strictEqual(sealed.hash, hashOfSecret(secret))
    assert.notStrictEqual(withKeys("old").seal("share", "other", secret).sealed, sealed.sealed)
  })
})

/** Secrets from tutorials and templates. */
const knownSecrets = /^(?:secret|changeme|password|your[-_ ]?(?:jwt|256|secret)|supersecret|a-string-secret|test|(.)\1+$)/is

/** Whether a secret is from a tutorial or a template. */
export const isKnownSecret = (text: string): boolean => knownSecrets.test(text)

/** Distinct bytes that a key must have: 32 random ones have 30, text in base64 or hexadecimal at least 10. */
const minimumVariety = 10

/** Whether a key is typed, not generated: few different bytes, or one short text again and again. */
export const isRepetitive = (bytes: Buffer): boolean => {
  const repeats = (period: number) => bytes.every((byte, index) => byte === bytes[index % period])
  return new Set(bytes).size < minimumVariety || Array.from({ length: 16 }, (_, index) => index + 1).some(repeats)
}

/** Characters that a secret in production must have after its prefix. */
export const minimumSecret = 16

import { Redacted } from "effect"

/**
 * What a terminal, or a reader of lines, would obey instead of show: C0 and C1 controls (ESC and CSI begin escape
 * sequences), the Unicode line breaks, marks that turn the direction of what follows, and the byte order mark.
 */
// oxlint-disable-next-line no-control-regex -- they are what this is about
const controls = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/** Writes controls as JSON does, so that a line stays one, in a terminal as in a file, and JSON stays JSON. */
export const escapeControls = (text: string): string =>
  text.replace(controls, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** A value after its name: `"otp":"123456"`, `password=…`, also in JSON inside of JSON. */
const named = (names: string, value: string) => new RegExp(`((?:${names})\\\\*["']?\\s*[:=]\\s*\\\\*["']?)${value}`, "gi")

/** What looks like a secret, wherever it comes from. Errors of ours hold none; those of others might. */
const patterns: ReadonlyArray<readonly [RegExp, string]> = [
  [named("cookie", `[^"'\\\\]+`), "$1<redacted>"],
  [
    named(
      "authorization|password(?:[-_]?hash)?|token|secret(?:[-_]?key)?|api[-_]?key",
      `(?:(?:basic|bearer)\\s+)?[^\\s"'\\\\,;&}]+`
    ),
    "$1<redacted>"
  ],
  [named("otp|code", `\\d{6}(?!\\d)`), "$1<redacted>"],
  [/\bbearer\s+[\w.~+/=-]+/gi, "Bearer <redacted>"],
  // Tokens of ours: JWTs, and the refresh token with its MAC at the end.
  [/(?<![\w-])eyJ[\w-]{8,}\.[\w-]+\.[\w-]+/g, "<redacted>"],
  [/(?<![\w-])[\w-]{90,}\.[\w-]{43}(?![\w-])/g, "<redacted>"],
  // Keys of Stripe's and Google's, and the user of a URL.
  [/\b(?:[sr]k_(?:live|test)|whsec)_\w{8,}/g, "<redacted>"],
  [/\bAIza[\w-]{30,}/g, "<redacted>"],
  [/(:\/\/)[^\s/@"'\\]+@/g, "$1<redacted>@"]
]

/** A number keeps its last four digits: enough to find it again for whoever knows it. */
const mobiles = /\+[1-9]\d{2,10}(?=\d{4}(?!\d))/g

/** The settings' secrets, as they could appear in a text. */
export const secretsIn = (value: unknown): ReadonlyArray<string> => {
  if (Redacted.isRedacted(value)) {
    const secret = Redacted.value(value)
    if (secret instanceof Uint8Array) return [Buffer.from(secret).toString("base64").replace(/=+$/, "")]
    return typeof secret === "string" && secret.length >= 10 ? [secret] : []
  }
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(secretsIn) : []
}

/** Takes secrets out of a text: those that are known, and what looks like one. */
export const redact = (text: string, secrets: ReadonlyArray<string> = [], showsNumbers = false): string => {
  const known = secrets.reduce((rest, secret) => rest.replaceAll(secret, "<redacted>"), text)
  const clean = patterns.reduce((rest, [pattern, by]) => rest.replace(pattern, by), known)
  return showsNumbers ? clean : clean.replace(mobiles, "+…")
}

/** Any text as one line: the frames of a stack follow each other. */
export const oneLine = (text: string): string => escapeControls(text.trim().replace(/\r?\n[ \t]+at /g, " | at "))

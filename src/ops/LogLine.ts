import { Redacted } from "effect"

/**
 * Characters that a terminal or a line reader interprets instead of showing: C0 and C1 controls (ESC and CSI begin escape
 * sequences), Unicode line breaks, direction marks and the byte order mark.
 */
// oxlint-disable-next-line no-control-regex -- control characters are the subject
const controls = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/** Escapes them as JSON does: an event stays one line, and JSON stays JSON. */
export const escapeControls = (text: string): string =>
  text.replace(controls, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** Matches a value after its name: `"otp":"123456"`, `password=…`, also in JSON within JSON. */
const named = (names: string, value: string) => new RegExp(`((?:${names})\\\\*["']?\\s*[:=]\\s*\\\\*["']?)${value}`, "gi")

/** What looks like a secret. Our own errors hold none, but those of libraries and vendors may. */
const patterns: ReadonlyArray<readonly [RegExp, string]> = [
  [named("cookie", `[^"'\\\\]+`), "$1<redacted>"],
  [
    named(
      "authorization|password(?:[-_]?hash)?|token|ticket|secret(?:[-_]?key)?|api[-_]?key",
      `(?:(?:basic|bearer)\\s+)?[^\\s"'\\\\,;&}]+`
    ),
    "$1<redacted>"
  ],
  [named("otp|code", `\\d{6}(?!\\d)`), "$1<redacted>"],
  [/\bbearer\s+[\w.~+/=-]+/gi, "Bearer <redacted>"],
  // Our tokens: JWTs, and refresh tokens, which end in a MAC.
  [/(?<![\w-])eyJ[\w-]{8,}\.[\w-]+\.[\w-]+/g, "<redacted>"],
  [/(?<![\w-])[\w-]{90,}\.[\w-]{43}(?![\w-])/g, "<redacted>"],
  // Stripe's and Google's keys, and the user part of a URL. A password of a database may have an unescaped @ or /.
  [/(postgres(?:ql)?:\/\/)[^\s"'\\]+@/gi, "$1<redacted>@"],
  [/\b(?:[sr]k_(?:live|test)|whsec)_\w{8,}/g, "<redacted>"],
  [/\bAIza[\w-]{30,}/g, "<redacted>"],
  [/(:\/\/)[^\s/@"'\\]+@/g, "$1<redacted>@"]
]

/** All but the last four digits of a mobile number, by which a reader who knows the number can still find it. */
const mobiles = /\+[1-9]\d{2,10}(?=\d{4}(?!\d))/g

/** The secrets among the settings, as they may appear in a text. */
export const secretsIn = (value: unknown): ReadonlyArray<string> => {
  if (Redacted.isRedacted(value)) {
    const secret = Redacted.value(value)
    if (secret instanceof Uint8Array) return [Buffer.from(secret).toString("base64").replace(/=+$/, "")]
    return typeof secret === "string" && secret.length >= 10 ? [secret] : []
  }
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(secretsIn) : []
}

/** Removes the given secrets, and what looks like a secret, from a text. */
export const redact = (text: string, secrets: ReadonlyArray<string> = [], showsNumbers = false): string => {
  const known = secrets.reduce((rest, secret) => rest.replaceAll(secret, "<redacted>"), text)
  const clean = patterns.reduce((rest, [pattern, by]) => rest.replace(pattern, by), known)
  return showsNumbers ? clean : clean.replace(mobiles, "+…")
}

/** A text as one line; stack frames are joined with `|`. */
export const oneLine = (text: string): string => escapeControls(text.trim().replace(/\r?\n[ \t]+at /g, " | at "))

const isFrame = (line: string): boolean => /^\s+at /.test(line)

/** The text of a cause with the messages of all its errors before the stack frames, so that the root cause is seen at once. */
export const messagesFirst = (cause: string): string => {
  const lines = cause.split("\n").map((line) => line.replace(/ \{$/, ""))
  const messages = lines
    .filter((line) => !isFrame(line) && line.trim() !== "}")
    .join("\n")
    .replaceAll(/\n\s*\[cause\]: /g, " | caused by ")
  return [messages, ...lines.filter(isFrame)].join("\n")
}

const articles: Readonly<Record<string, string>> = {
  array: "an array",
  boolean: "a boolean",
  number: "a number",
  object: "an object",
  string: "a string"
}

/** How the library words a fault, and how this API words it: as what the field must be. */
const wordings: ReadonlyArray<readonly [RegExp, (...parts: ReadonlyArray<string>) => string]> = [
  [/^Missing key$/, () => "is missing"],
  [
    /^Expected a string with between (\d+) and (\d+) code points$/,
    (_, minimum = "", maximum = "") => `must have ${minimum} to ${maximum} characters`
  ],
  [/^Expected a value between (\S+) and (\S+)$/, (_, minimum = "", maximum = "") => `must be from ${minimum} to ${maximum}`],
  [
    /^Expected (.+)$/s,
    (_, expected = "") =>
      `must be ${expected
        .split(" | ")
        .map((part) => articles[part] ?? part)
        .join(" or ")}`
  ]
]

/** The message of a fault in the voice of the others: `must be …`, `must have …`, `is missing`. */
export const faultMessage = (message: string): string => {
  for (const [pattern, word] of wordings) {
    const parts = pattern.exec(message)
    if (parts !== null) return word(...parts)
  }
  return message
}

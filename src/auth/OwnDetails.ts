/** What is known of a user, and therefore guessed first. */
export interface OwnDetails {
  readonly mobile: string
  readonly name?: string | null | undefined
  readonly email?: string | null | undefined
}

/** Details shorter than this are part of many words, so they may occur in a password that is long without them. */
const distinctive = 4
/** Characters that a password must have beside a short detail. */
const minimumRest = 8
/** Digits at the end of a number by which it is recognised, with or without its country code. */
const numberTail = 8

/** Letters and digits alone, in lower case: "Ada-Lovelace" and "ada lovelace" are the same guess. */
const compact = (text: string): string =>
  text
    .normalize("NFKC")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}]/gu, "")

/** Whether a password is, or contains, the user's number, name or e-mail. */
export const containsOwnDetails = (password: string, { email, mobile, name }: OwnDetails): boolean => {
  const text = compact(password)
  const words = [name, ...(name ?? "").split(/\s+/u), email, email?.split("@")[0]].map((word) => compact(word ?? ""))
  const details = [mobile.replaceAll(/\D/g, "").slice(-numberTail), ...words].filter((detail) => detail !== "")
  return details.some(
    (detail) =>
      text.includes(detail) && ([...detail].length >= distinctive || [...text.replaceAll(detail, "")].length < minimumRest)
  )
}

import type { SqlClient, Statement } from "effect/sql"

/**
 * Characters that the composed form (NFC) replaces or joins with the one before: marks, Hangul vowels and finals, letters
 * with a nukta, and compatibility letters. A text without them is in that form.
 */
const uncomposed = String.raw`[\u0300-\u036f\u0374\u037e\u0387\u0653-\u0655\u093c\u0958-\u095f\u09be\u09d7\u09dc-\u09df\u0a33\u0a36\u0a3c\u0a59-\u0a5e\u0b3c\u0b3e\u0b56\u0b57\u0b5c\u0b5d\u0bbe\u0bd7\u0c56\u0cc2\u0cd5\u0cd6\u0d3e\u0d57\u0dca\u0dcf\u0ddf\u102e\u1161-\u1175\u11a8-\u11c2\u1b35\u1f71-\u1f7d\u2126\u212a\u212b\u3099\u309a\uf900-\ufaff\ufb1d-\ufb4e]`

/**
 * Whether a text contains words, in any letter case and any Unicode composition: keyboards write `é` as one character or as
 * two. Composing a text costs more than searching it, so it is done only where it can make a difference.
 */
export const contains = (sql: SqlClient.SqlClient, text: Statement.Fragment, words: string): Statement.Fragment =>
  /^\p{ASCII}*$/u.test(words)
    ? sql`position(lower(${words}) in lower(${text})) > 0`
    : sql`(
        select position(lower(${words.normalize("NFC")}) in lower(case when found.text ~ ${uncomposed} then normalize(found.text, nfc)
          else found.text end)) > 0
        from (select ${text} as text offset 0) found
      )`

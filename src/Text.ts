import { Schema, SchemaTransformation } from "effect"

/** What Postgres and JSON can both carry: no NUL, no lone surrogate. */
const isStorable = Schema.makeFilter<string>(
  (text) => (!text.includes("\u0000") && text.isWellFormed()) || "must not contain NUL or ill-formed Unicode"
)

/** Text of `minimum` to `maximum` characters (Unicode code points). */
export const text = (minimum: number, maximum: number) =>
  Schema.String.check(isStorable, Schema.isBetweenCodePoints(minimum, maximum))

/** Digits alone, as a query or a setting has them: `Number` would also take "", "0x50" and "3e3". */
const Digits = Schema.String.check(Schema.isPattern(/^\d{1,15}$/u, { message: "must be a whole number" }))

/** A whole number written in digits. */
export const integerFromText = (minimum: number, maximum: number) =>
  Digits.pipe(Schema.decodeTo(Schema.FiniteFromString)).check(Schema.isInt(), Schema.isBetween({ minimum, maximum }))

/** How many there are of something. */
export const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** A UUID in its canonical lower-case form, whatever case it was written in. */
export const Uuid = Schema.String.check(Schema.isUUID()).pipe(Schema.decode(SchemaTransformation.toLowerCase()))

/** ISO 8601 UTC with milliseconds. Only ever encoded, so it is text on both sides. */
export const Timestamp = Schema.String.annotate({ format: "date-time" })

/** A column's time as the wire shows it. */
export const iso = (date: Date): string => date.toISOString()
export const isoOrNull = (date: Date | null): string | null => (date === null ? null : date.toISOString())
/** The same of a time that Postgres wrote into JSON. */
export const isoText = (time: string): string => iso(new Date(time))

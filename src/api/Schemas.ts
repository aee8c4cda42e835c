import { Schema, SchemaTransformation } from "effect"

/** Whether both Postgres and JSON can carry a text: no NUL, no lone surrogate. */
export const isStorable = (text: string): boolean => !text.includes("\u0000") && text.isWellFormed()

const Storable = Schema.makeFilter<string>((text) => isStorable(text) || "must not contain NUL or ill-formed Unicode")

/** Text of `minimum` to `maximum` characters (Unicode code points). */
export const text = (minimum: number, maximum: number) =>
  Schema.String.check(Storable, Schema.isBetweenCodePoints(minimum, maximum))

/** Digits only, because `Number` also accepts "", "0x50" and "3e3". */
const Digits = Schema.String.check(Schema.isPattern(/^\d{1,15}$/u, { message: "must be a whole number" }))

/** A whole number written in digits. */
export const integerFromText = (minimum: number, maximum: number) =>
  Digits.pipe(Schema.decodeTo(Schema.FiniteFromString)).check(Schema.isInt(), Schema.isBetween({ minimum, maximum }))

/** A number of items: 0 or more. */
export const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** A UUID of any letter case, decoded to lower case. */
export const Uuid = Schema.String.check(Schema.isUUID()).pipe(Schema.decode(SchemaTransformation.toLowerCase()))

/** ISO 8601 UTC with milliseconds. The server only sends it, so it is text on both sides. */
export const Timestamp = Schema.String.annotate({ format: "date-time" })

/** A database time in the form that clients get. */
export const iso = (date: Date): string => date.toISOString()
export const isoOrNull = (date: Date | null): string | null => (date === null ? null : date.toISOString())
/** The same of a time that Postgres wrote into JSON. */
export const isoText = (time: string): string => iso(new Date(time))

import { Effect, Schema, SchemaIssue, SchemaTransformation } from "effect"
import { parsePhoneNumberFromString } from "libphonenumber-js/max"
import { ada } from "../Examples.ts"

/** E.164, so that a number has exactly one spelling in the database. */
const E164 = Schema.String.check(Schema.isPattern(/^\+[1-9]\d{6,14}$/u)).pipe(Schema.brand("Mobile"))

/** The library also reads full-width digits and letters; the contract takes ASCII digits and separators alone. */
const spelling = /^\+[\d ().-]{5,30}$/u
const mobileTypes = new Set(["MOBILE", "FIXED_LINE_OR_MOBILE"])

/** The number in E.164; undefined when it cannot receive a code. */
export const normalise = (input: string): string | undefined => {
  if (!spelling.test(input)) return undefined
  const number = parsePhoneNumberFromString(input)
  if (number === undefined || !number.isValid() || number.ext !== undefined) return undefined
  return mobileTypes.has(number.getType() ?? "") ? number.number : undefined
}

const refusal = "must be a mobile number in international form, like +919876543210"

/** A mobile number as people write it (`+91 98765-43210`), decoded to E.164. */
export const Mobile = Schema.String.check(Schema.isPattern(/^\s*\+[\d ().-]{5,30}\s*$/u, { message: refusal }))
  .annotate({
    description: "A mobile number with country code; spaces, dashes, dots and brackets are allowed.",
    examples: [ada.mobile]
  })
  .pipe(
    Schema.decodeTo(
      E164,
      SchemaTransformation.transformEffect({
        decode: (input) => {
          const number = normalise(input.trim())
          return number === undefined ? Effect.fail(new SchemaIssue.InvalidValue({ message: refusal })) : Effect.succeed(number)
        },
        encode: Effect.succeed
      })
    )
  )
export type Mobile = typeof Mobile.Type

/** A number in responses: always normalised. */
export const E164Text = Schema.String.annotate({ description: "In E.164: `+` and digits." })

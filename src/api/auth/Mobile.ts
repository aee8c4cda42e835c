import { Context, Effect, Schema, SchemaIssue, SchemaTransformation } from "effect"
import { type CountryCode, getCountries, parsePhoneNumberFromString } from "libphonenumber-js/max"
import { ada } from "../Examples.ts"

/** E.164, so that a number has exactly one spelling in the database. */
const E164 = Schema.String.check(Schema.isPattern(/^\+[1-9]\d{6,14}$/u)).pipe(Schema.brand("Mobile"))

/** An ISO 3166 country code like `IN`. */
export type Region = CountryCode
export const regions: ReadonlyArray<Region> = getCountries()

/** The country whose national numbers are read without a country code, if there is one (the server's `DEFAULT_REGION`). */
export const DefaultRegion = Context.Reference<Region | undefined>("chat-backend/api/DefaultRegion", {
  defaultValue: () => undefined
})

/** What people and programs put between digits: spaces, dashes, dots, brackets, and invisible format characters. */
const separators = /[\s\p{Cf}\p{Pd}\u2212().[\]]/gu
/** The library also reads full-width digits and letters; the contract takes ASCII digits only. */
const digits = /^\+?\d{5,20}$/
/** Mexican mobile numbers as messengers still show them, with the 1 that was abolished in 2019. */
const oldMexican = /^\+521(?=\d{10}$)/
const mobileTypes = new Set(["MOBILE", "FIXED_LINE_OR_MOBILE"])

const withCode = "with a country code, as +919876543210"
const refusals = {
  spelling: `must be a mobile number of digits, spaces, dashes, dots and brackets, ${withCode}`,
  national: `must be a mobile number ${withCode}`,
  kind: `must be a mobile number that can receive codes, ${withCode}`
}

/** The number in E.164, or why it cannot receive a code. The reason never repeats the input. */
const read = (input: string, region: Region | undefined): { readonly number: string } | { readonly refusal: string } => {
  const compact = input.length > 64 ? "" : input.replaceAll(separators, "").replace(oldMexican, "+52")
  if (!digits.test(compact)) return { refusal: refusals.spelling }
  if (!compact.startsWith("+") && region === undefined) return { refusal: refusals.national }
  const number = parsePhoneNumberFromString(compact, region)
  const isMobile = number?.isValid() === true && mobileTypes.has(number.getType() ?? "")
  // Satellite phones and other numbers of no country, which cost more than any other.
  return isMobile && !number.isNonGeographic() ? { number: number.number } : { refusal: refusals.kind }
}

/** The number in E.164; undefined when it cannot receive a code. */
export const normalise = (input: string, region?: Region | undefined): string | undefined => {
  const result = read(input, region)
  return "number" in result ? result.number : undefined
}

/** The country of a normalised number. */
export const regionOf = (mobile: Mobile): Region | undefined => parsePhoneNumberFromString(mobile)?.country

/** A mobile number as people write or paste it (`+91 98765-43210`), decoded to E.164. */
export const Mobile = Schema.String.annotate({
  message: refusals.national,
  description:
    "A mobile number with its country code. Spaces, dashes, dots, brackets and invisible format characters are allowed. A server with `DEFAULT_REGION` also takes national numbers of that country.",
  examples: [ada.mobile]
}).pipe(
  Schema.decodeTo(
    E164,
    SchemaTransformation.transformEffect({
      decode: (input) =>
        Effect.flatMap(DefaultRegion, (region) => {
          const result = read(input, region)
          return "number" in result
            ? Effect.succeed(result.number)
            : Effect.fail(new SchemaIssue.InvalidValue({ message: result.refusal }))
        }),
      encode: Effect.succeed
    })
  )
)
export type Mobile = typeof Mobile.Type

/** A number in responses: always normalised. */
export const E164Text = Schema.String.annotate({ description: "In E.164: `+` and digits." })

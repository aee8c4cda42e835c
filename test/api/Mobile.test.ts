import { Effect, Schema } from "effect"
import { assert, describe, it } from "vitest"
import { DefaultRegion, Mobile, normalise, regionOf } from "../../src/api/auth/Mobile.ts"

const decode = Schema.decodeUnknownSync(Mobile)

describe("a mobile number", () => {
  it.each([
    "+919876543210",
    "+91 98765 43210",
    "+91-98765-43210",
    "+91 (98765) 43210",
    "+91.98765.43210",
    "+91 98765-43.210",
    "+(91)9876543210",
    "(+91) 98765 43210",
    "[+91] 98765 43210",
    "\u202a+91 98765 43210\u202c",
    "\u200f+919876543210",
    "+9198765\u200b43210",
    "+919876543210\u200b",
    "\ufeff+919876543210",
    "+91\u00a098765\u202f43210",
    "+91\u200998765\u300043210",
    "+91\u201198765\u201243210",
    "+91\u201398765\u221243210",
    "+91\t98765\n43210"
  ])("is normalised to E.164: %s", (input) => {
    assert.strictEqual(normalise(input), "+919876543210")
  })

  it.each([
    ["the United States", "+1 (415) 555-2671", "+14155552671"],
    ["the United Kingdom", "+44 7911 123456", "+447911123456"],
    ["Germany", "+49 1512 3456789", "+4915123456789"],
    ["Mexico", "+52 55 1234 5678", "+525512345678"],
    ["Mexico, as messengers show it", "+52 1 55 1234 5678", "+525512345678"],
    ["Argentina, by its national spelling", "+54 11 15 1234 5678", "+5491112345678"],
    ["Britain, with its trunk zero in brackets", "+44 (0)7911 123456", "+447911123456"],
    ["Brazil", "+55 11 96123-4567", "+5511961234567"],
    ["Singapore", "+65 8123 4567", "+6581234567"],
    ["Saint Helena, short", "+290 51234", "+29051234"]
  ])("is accepted from %s", (_, input, expected) => {
    assert.strictEqual(normalise(input), expected)
  })

  it("stays unchanged when it is normalised", () => {
    const once = normalise("+91 98765 43210")
    assert.isDefined(once)
    assert.strictEqual(normalise(once ?? ""), once)
  })

  it("may be surrounded by whitespace in a request", () => {
    assert.strictEqual(decode("  +91 98765 43210\n"), "+919876543210")
  })
})

describe("an invalid mobile number", () => {
  it.each([
    ["empty", ""],
    ["blank", "   "],
    ["a plus alone", "+"],
    ["separators alone", "+ () - ..."],
    ["national, without a country code", "9876543210"],
    ["national with its trunk zero", "09876543210"],
    ["international by the old prefix", "00919876543210"],
    ["two pluses", "++919876543210"],
    ["a plus in the middle", "+91+9876543210"],
    ["one digit too short", "+91987654321"],
    ["one digit too long", "+9198765432101"],
    ["longer than any number", `+91${"9".repeat(40)}`],
    ["of no country", "+999123456789"],
    ["full-width digits", "+９１９８７６５４３２１０"],
    ["Arabic digits", "+٩١٩٨٧٦٥٤٣٢١٠"],
    ["Devanagari digits", "+९१९८७६५४३२१०"],
    ["a full-width plus", "＋919876543210"],
    ["a NUL", "+919876543210\u0000"],
    ["an extension", "+919876543210 ext. 5"],
    ["an extension in short", "+919876543210x5"],
    ["an extension with a hash", "+919876543210#5"],
    ["an extension by RFC 3966", "tel:+919876543210;ext=5"],
    ["an RFC 3966 link", "tel:+919876543210"],
    ["letters", "+1 415 FLOWERS"],
    ["two numbers", "+919876543210,+919876543211"],
    ["an Indian landline", "+91 22 2778 1234"],
    ["a British landline", "+44 20 7946 0958"],
    ["a German landline", "+49 30 12345678"],
    ["British premium rate", "+44 909 879 0000"],
    ["an American toll-free number", "+1 800 555 0199"],
    ["an American premium number", "+1 900 555 0199"],
    ["international freephone", "+800 1234 5678"],
    ["an Indian toll-free number", "+91 1800 123 4567"],
    ["an emergency number", "+112"],
    ["a satellite phone", "+881 6 1234 5678"],
    ["a ship's satellite phone", "+870 773 111 632"],
    ["international premium rate", "+979 123 456 789"],
    ["SQL", "+91'; drop table users; --"]
  ])("is refused: %s", (_, input) => {
    assert.isUndefined(normalise(input))
    assert.throws(() => decode(input), /must be a mobile number .*with a country code, as \+919876543210$/)
  })

  it.each([
    ["98765 43210", "must be a mobile number with a country code, as +919876543210"],
    [
      "+91 98765 43x10",
      "must be a mobile number of digits, spaces, dashes, dots and brackets, with a country code, as +919876543210"
    ],
    ["+91 22 2778 1234", "must be a mobile number that can receive codes, with a country code, as +919876543210"]
  ])("is refused with the reason: %s", (input, reason) => {
    assert.throws(() => decode(input), reason)
  })

  it.each([[919876543210], [null], [["+919876543210"]], [{}]])("is refused when it is not a string: %j", (input) => {
    assert.throws(() => decode(input), /^must be a mobile number with a country code/)
  })
})

describe("a national number", () => {
  it.each(["9876543210", "098765 43210", "00919876543210", "+91 98765 43210"])("is read in its own country: %s", (input) => {
    assert.strictEqual(normalise(input, "IN"), "+919876543210")
  })

  it.each(["4155552671", "02227781234"])("is refused when it is not a mobile number there: %s", (input) => {
    assert.isUndefined(normalise(input, "IN"))
  })

  it("is decoded with the region that the context provides", async () => {
    const decoded = Schema.decodeUnknownEffect(Mobile)("98765 43210").pipe(Effect.provideService(DefaultRegion, "IN"))
    assert.strictEqual(await Effect.runPromise(decoded), "+919876543210")
  })
})

describe("regionOf", () => {
  it.each([
    ["+919876543210", "IN"],
    ["+14155552671", "US"],
    ["+16135550123", "CA"],
    ["+447624123456", "IM"]
  ])("is the country of %s", (mobile, region) => {
    assert.strictEqual(regionOf(Mobile.make(mobile)), region)
  })
})

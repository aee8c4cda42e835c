import { Schema } from "effect"
import { assert, describe, it } from "vitest"
import { Mobile, normalise } from "../../src/api/auth/Mobile.ts"

const decode = Schema.decodeUnknownSync(Mobile)

describe("a mobile number", () => {
  it.each([
    "+919876543210",
    "+91 98765 43210",
    "+91-98765-43210",
    "+91 (98765) 43210",
    "+91.98765.43210",
    "+91 98765-43.210",
    "+(91)9876543210"
  ])("is normalised to E.164: %s", (input) => {
    assert.strictEqual(normalise(input), "+919876543210")
  })

  it.each([
    ["the United States", "+1 (415) 555-2671", "+14155552671"],
    ["the United Kingdom", "+44 7911 123456", "+447911123456"],
    ["Germany", "+49 1512 3456789", "+4915123456789"],
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
    ["a zero-width space inside", "+9198765\u200b43210"],
    ["a zero-width space at the end", "+919876543210\u200b"],
    ["a right-to-left mark", "\u200f+919876543210"],
    ["a non-breaking space", "+91\u00a09876543210"],
    ["a tab inside", "+91\t9876543210"],
    ["a line break inside", "+91\n9876543210"],
    ["a NUL", "+919876543210\u0000"],
    ["a dash that is not ASCII", "+91‑9876543210"],
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
    ["SQL", "+91'; drop table users; --"]
  ])("is refused: %s", (_, input) => {
    assert.isUndefined(normalise(input))
    assert.throws(() => decode(input), /mobile number in international form/)
  })

  it.each([[919876543210], [null], [["+919876543210"]], [{}]])("is refused when it is not a string: %j", (input) => {
    assert.throws(() => decode(input))
  })
})

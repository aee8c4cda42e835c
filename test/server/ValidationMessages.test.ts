import { assert, describe, it } from "vitest"
import { faultMessage } from "../../src/server/ValidationMessages.ts"

describe("the message of a fault", () => {
  it.each([
    ["Missing key", "is missing"],
    ["Expected a string with between 1 and 120 code points", "must have 1 to 120 characters"],
    ["Expected a value between 0 and 2", "must be from 0 to 2"],
    ["Expected a UUID", "must be a UUID"],
    ["Expected string", "must be a string"],
    ["Expected number | null", "must be a number or null"],
    ['Expected "search" | "url"', 'must be "search" or "url"'],
    ["must be a whole number", "must be a whole number"]
  ])("is in one voice: %s", (said, worded) => assert.strictEqual(faultMessage(said), worded))
})

/** Compares the quotas once the user is on Pro; null is unlimited. */
const { limits, tier } = pm.response.json()
if (tier === "pro") {
  pm.test("Pro has more prompts a day than Basic", () =>
    pm.expect(limits.daily === null ? Infinity : limits.daily).to.be.above(Number(pm.variables.get("dailyLimit")))
  )
}

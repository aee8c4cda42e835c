import { call, type Folder, keep, script } from "../Overlay.ts"

/** Everything a run goes by is new: a number nobody has, a password nobody guesses. */
const newPerson = script`
  const random = () => String(Math.floor(Math.random() * 1e8)).padStart(8, "0")
  for (const name of ["token", "otp", "challengeId", "tries", "billing"]) pm.collectionVariables.set(name, "")
  pm.collectionVariables.set("mobile", "+9198" + random())
  pm.collectionVariables.set("password", "correct horse " + random())
`

/** Codes are in the answer only while nothing delivers them. */
export const keepCode = script`
  const { otp, challengeId } = pm.response.json()
  pm.collectionVariables.set("challengeId", challengeId)
  if (otp) pm.collectionVariables.set("otp", otp)
  else console.log("The server delivers its codes: set the variable otp to the one that you received.")
`

export const account: Folder = {
  name: "1. Sign up and log in",
  about: "A number, a one-time code, and the token that everything else needs.",
  items: [
    call("signUp", {
      name: "Sign up",
      about: "Makes up a new number for this run. A number can also log in without this: its first good code registers it.",
      body: { mobile: "{{mobile}}", name: "Ada Lovelace", email: "ada@example.com", password: "{{password}}" },
      expect: 201,
      before: newPerson,
      tests: script`
        const { user } = pm.response.json()
        pm.test("The number is kept in E.164", () => pm.expect(user.mobile).to.equal(pm.variables.get("mobile")))
        pm.test("The user is pending until a code proves the number", () => pm.expect(user.status).to.equal("pending"))
        pm.collectionVariables.set("signupToken", pm.response.json().signupToken)
      `
    }),
    call("sendOtp", {
      name: "Send a code",
      about: "In development the code is in the answer. Where codes are delivered, set the variable `otp` by hand.",
      body: { mobile: "{{mobile}}" },
      expect: 200,
      tests: keepCode
    }),
    call("verifyOtp", {
      name: "Log in with the code",
      body: { mobile: "{{mobile}}", otp: "{{otp}}", challengeId: "{{challengeId}}", signupToken: "{{signupToken}}" },
      expect: 200,
      tests: [
        keep({ token: "token", refreshToken: "refreshToken", userId: "user.id" }),
        script`
          pm.test("The number is proved", () => pm.expect(pm.response.json().user.status).to.equal("active"))
        `
      ].join("\n")
    }),
    call("getMe", {
      name: "Who am I",
      expect: 200,
      tests: script`
        const me = pm.response.json()
        pm.test("It is who signed up", () => {
          pm.expect(me.id).to.equal(pm.variables.get("userId"))
          pm.expect(me.name).to.equal("Ada Lovelace")
          pm.expect(me.hasPassword).to.equal(true)
        })
        pm.test("A new user is on Basic, with nothing used", () => {
          pm.expect(me.tier).to.equal("basic")
          pm.expect(me.quota.used).to.equal(0)
          pm.expect(me.quota.remaining).to.equal(me.quota.limit)
        })
      `
    }),
    call("passwordLogin", {
      name: "Log in with the password",
      about: "An extra that is off unless the server is started with it: then the route is not there.",
      body: { mobile: "{{mobile}}", password: "{{password}}" },
      expect: [200, 404],
      code: "not_found",
      tests: script`
        if (pm.response.code === 200) {
          pm.test("It is the same user", () => pm.expect(pm.response.json().user.id).to.equal(pm.variables.get("userId")))
        }
      `
    })
  ]
}

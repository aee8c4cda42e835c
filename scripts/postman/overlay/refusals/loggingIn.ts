import { call, type Folder, keep, script } from "../../Overlay.ts"
import { complainsOf, newNumber, other } from "./parts.ts"

export const loggingIn: Folder["items"] = [
  call("sendOtp", {
    name: "Another person asks for a code",
    body: { mobile: "{{otherMobile}}" },
    before: newNumber("otherMobile"),
    expect: 200,
    tests: keep({ otherOtp: "otp" })
  }),
  call("sendOtp", {
    name: "And again too soon",
    body: { mobile: "{{otherMobile}}" },
    expect: 429,
    code: "otp_cooldown"
  }),
  call("verifyOtp", {
    name: "A wrong code",
    about: "One answer for wrong, used, superseded and expired codes.",
    body: { mobile: "{{otherMobile}}", otp: "{{wrongOtp}}" },
    before: script`
      const wrong = (Number(pm.variables.get("otherOtp")) + 1) % 1e6
      pm.collectionVariables.set("wrongOtp", String(wrong).padStart(6, "0"))
    `,
    expect: 400,
    code: "otp_invalid"
  }),
  call("verifyOtp", {
    name: "The right code",
    body: { mobile: "{{otherMobile}}", otp: "{{otherOtp}}" },
    expect: 200,
    tests: [
      keep({ otherToken: "token" }),
      script`
        pm.test("A number without sign-up is registered by its first good code", () =>
          pm.expect(pm.response.json().isNewUser).to.equal(true))
      `
    ].join("\n")
  }),
  call("verifyOtp", {
    name: "A code is good once",
    body: { mobile: "{{otherMobile}}", otp: "{{otherOtp}}" },
    expect: 400,
    code: "otp_invalid"
  }),
  call("signUp", {
    name: "A number that is taken",
    body: { mobile: "{{otherMobile}}" },
    expect: 409,
    code: "phone_taken"
  }),
  call("signUp", {
    name: "No mobile number",
    body: { mobile: "12345" },
    expect: 400,
    code: "validation_failed",
    tests: complainsOf("/mobile")
  }),
  call("changePassword", {
    name: "A password that everybody tries first",
    body: { newPassword: "password" },
    ...other,
    expect: 422,
    code: "weak_password"
  }),
  call("refresh", { name: "No refresh token", body: { refreshToken: "none" }, expect: 401, code: "refresh_invalid" }),
  call("getMe", { name: "No token", as: "nobody", expect: 401, code: "unauthenticated" }),
  call("getMe", {
    name: "A token that we did not make",
    as: "nobody",
    headers: { Authorization: "Bearer eyJhbGciOiJub25lIn0.e30." },
    expect: 401,
    code: "token_invalid"
  })
]

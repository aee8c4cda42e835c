import { keepCode } from "./account.ts"
import { call, type Folder, keep, script } from "../Overlay.ts"

const codeBody = { mobile: "{{mobile}}", otp: "{{otp}}", challengeId: "{{challengeId}}" }

const profile: Folder["items"] = [
  call("updateMe", {
    name: "Change the profile",
    about: "Null clears a field; what is not sent stays.",
    body: { name: "Ada King", email: null },
    expect: 200,
    tests: script`
      const me = pm.response.json()
      pm.test("It changed", () => {
        pm.expect(me.name).to.equal("Ada King")
        pm.expect(me.email).to.equal(null)
      })
    `
  }),
  call("exportMe", {
    name: "Export all of one's data",
    expect: 200,
    tests: script`
      pm.test("It is a file with the user's rooms", () => {
        pm.expect(pm.response.headers.get("Content-Disposition")).to.include("attachment")
        pm.expect(pm.response.text()).to.include(pm.variables.get("roomId"))
      })
    `
  })
]

const devices: Folder["items"] = [
  call("sendOtp", { name: "Send a code for a second device", body: { mobile: "{{mobile}}" }, expect: 200, tests: keepCode }),
  call("verifyOtp", {
    name: "Log in on a second device",
    body: codeBody,
    expect: 200,
    tests: [
      keep({ secondToken: "token" }),
      script`
        pm.test("The user is no new one", () => pm.expect(pm.response.json().isNewUser).to.equal(false))
      `
    ].join("\n")
  }),
  call("listSessions", {
    name: "Where am I logged in, asked on the second device",
    as: "secondToken",
    expect: 200,
    tests: script`
      const { data: sessions } = pm.response.json()
      const current = sessions.filter(({ current }) => current)
      pm.test("Both devices are there, and one is this", () => {
        pm.expect(sessions).to.have.lengthOf.at.least(2)
        pm.expect(current).to.have.lengthOf(1)
      })
      pm.collectionVariables.set("secondSessionId", current[0].id)
    `
  }),
  call("revokeSession", {
    name: "End the second device's session",
    about: "From the first device, as after a loss.",
    path: { id: "{{secondSessionId}}" },
    expect: 204
  }),
  call("getMe", {
    name: "The second device is logged out at once",
    as: "secondToken",
    expect: 401,
    code: "session_revoked"
  }),
  call("refresh", {
    name: "Refresh the token",
    body: { refreshToken: "{{refreshToken}}" },
    expect: 200,
    tests: [
      script`
        pm.test("The refresh token is a new one", () =>
          pm.expect(pm.response.json().refreshToken).to.not.equal(pm.variables.get("refreshToken")))
      `,
      keep({ token: "token", refreshToken: "refreshToken" })
    ].join("\n")
  })
]

const passwords: Folder["items"] = [
  call("changePassword", {
    name: "Change the password",
    about: "All other sessions end.",
    body: { currentPassword: "{{password}}", newPassword: "{{newPassword}}" },
    expect: 204,
    before: script`
      pm.collectionVariables.set("newPassword", pm.variables.get("password") + " battery staple")
    `
  }),
  call("changePassword", {
    name: "Not to the same again",
    body: { currentPassword: "{{newPassword}}", newPassword: "{{newPassword}}" },
    expect: 422,
    code: "same_password"
  }),
  call("forgotPassword", {
    name: "Forgot the password",
    body: { mobile: "{{mobile}}" },
    expect: 200,
    tests: keepCode
  }),
  call("resetPassword", {
    name: "A weak one is refused",
    about: "And the code stays good.",
    body: { ...codeBody, newPassword: "password" },
    expect: 422,
    code: "weak_password"
  }),
  call("resetPassword", {
    name: "Set a new one with the code",
    about: "All sessions end, this one too.",
    body: { ...codeBody, newPassword: "{{password}}" },
    expect: 204
  }),
  call("getMe", { name: "This device is logged out, too", expect: 401, code: "session_revoked" }),
  call("sendOtp", { name: "Send a code once more", body: { mobile: "{{mobile}}" }, expect: 200, tests: keepCode }),
  call("verifyOtp", {
    name: "Log in once more",
    body: codeBody,
    expect: 200,
    tests: keep({ token: "token", refreshToken: "refreshToken" })
  })
]

const leaving: Folder["items"] = [
  call("logout", {
    name: "Log out everywhere else",
    about: "`local` (this session, the default), `others` or `global`.",
    body: { scope: "others" },
    expect: 204
  }),
  call("listSessions", {
    name: "Only this session is left",
    expect: 200,
    tests: script`
      pm.test("It is this one alone", () => pm.expect(pm.response.json().data.map(({ current }) => current)).to.eql([true]))
    `
  }),
  call("deleteMe", {
    name: "Delete the account",
    expect: 204
  }),
  call("getMe", {
    name: "The account is gone",
    expect: 401,
    code: "session_revoked"
  })
]

export const sessions: Folder = {
  name: "7. Profile, sessions and password",
  about: "The user's own data, the devices that are logged in, a changed and a forgotten password, and the end of the account.",
  items: [...profile, ...devices, ...passwords, ...leaving]
}

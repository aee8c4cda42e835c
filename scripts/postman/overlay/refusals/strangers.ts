import { call, type Folder, keep } from "../../Overlay.ts"
import { newNumber, other } from "./parts.ts"

export const strangers: Folder["items"] = [
  call("sendOtp", {
    name: "A stranger asks for a code",
    body: { mobile: "{{strangerMobile}}" },
    before: newNumber("strangerMobile"),
    expect: 200,
    tests: keep({ strangerOtp: "otp" })
  }),
  call("verifyOtp", {
    name: "The stranger logs in",
    body: { mobile: "{{strangerMobile}}", otp: "{{strangerOtp}}" },
    expect: 200,
    tests: keep({ strangerToken: "token" })
  }),
  call("getChatroom", {
    name: "Somebody else's room",
    about: "404 and not 403: strangers do not learn that it is there.",
    path: { id: "{{otherRoomId}}" },
    as: "strangerToken",
    expect: 404,
    code: "chatroom_not_found"
  }),
  call("sendMessage", {
    name: "A question in somebody else's room",
    path: { id: "{{otherRoomId}}" },
    body: { content: "May I?" },
    as: "strangerToken",
    expect: 404,
    code: "chatroom_not_found"
  }),
  call("logout", { name: "The stranger logs out", body: {}, as: "strangerToken", expect: 204 }),
  call("getMe", { name: "The stranger's token is void", as: "strangerToken", expect: 401, code: "session_revoked" }),
  call("deleteMe", { name: "The other person leaves", ...other, expect: 204 })
]

import { call, type Folder, script, type Visit } from "../../Overlay.ts"
import { complainsOf, nobodysId, other } from "./parts.ts"

const visit = (step: Omit<Visit, "as"> & { readonly as?: string }): Visit => ({ ...other, ...step })

export const missing: Folder["items"] = [
  call("getChatroom", { name: "No such room", path: { id: nobodysId }, ...other, expect: 404, code: "chatroom_not_found" }),
  call("getChatroom", {
    name: "No id",
    path: { id: "none" },
    ...other,
    expect: 400,
    code: "validation_failed",
    tests: complainsOf("params.id")
  }),
  call("streamMessage", {
    name: "No such message to stream",
    path: { id: "{{otherRoomId}}", mid: nobodysId },
    ...other,
    expect: 404,
    code: "message_not_found"
  }),
  call("revokeSession", { name: "No such session", path: { id: nobodysId }, ...other, expect: 404, code: "session_not_found" }),
  call("cancelSubscription", { name: "No subscription to cancel", ...other, expect: 404, code: "no_subscription" }),
  call("reactivateSubscription", { name: "Nothing to take back", ...other, expect: 409, code: "not_cancelling" }),
  call("openPortal", { name: "No customer, no portal", ...other, expect: 404, code: "no_customer" }),
  call("billingReturn", {
    name: "Somebody else's checkout",
    query: { session_id: "cs_test_none" },
    ...other,
    expect: 404,
    code: "checkout_not_found"
  }),
  visit({
    name: "No such route",
    about: "Unknown routes answer in the same shape.",
    method: "GET",
    url: "/nothing/here",
    expect: 404,
    code: "not_found"
  }),
  visit({
    name: "No such method",
    about: "`Allow` names those that there are.",
    method: "PUT",
    url: "/chatroom",
    body: {},
    expect: 405,
    code: "method_not_allowed",
    tests: script`
      pm.test("It says which there are", () => pm.expect(pm.response.headers.get("Allow")).to.include("POST"))
    `
  })
]

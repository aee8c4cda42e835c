import { call, type Folder, keep, script } from "../../Overlay.ts"
import { complainsOf, other } from "./parts.ts"

export const input: Folder["items"] = [
  call("createChatroom", {
    name: "Half a JSON document",
    body: `{"title": "The sky`,
    ...other,
    expect: 400,
    code: "bad_json"
  }),
  call("createChatroom", {
    name: "Something else than JSON",
    body: "title=The+sky",
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    ...other,
    expect: 415,
    code: "unsupported_media_type"
  }),
  call("createChatroom", {
    name: "Values that do not fit",
    body: { title: "", temperature: 3 },
    ...other,
    expect: 400,
    code: "validation_failed",
    tests: [complainsOf("/title"), complainsOf("/temperature")].join("\n")
  }),
  call("createChatroom", {
    name: "Too much",
    about: "More than 256 KiB.",
    body: `{"title": "{{tooLong}}"}`,
    before: script`
      pm.variables.set("tooLong", "x".repeat(300 * 1024))
    `,
    ...other,
    expect: 413,
    code: "payload_too_large"
  }),
  call("listChatrooms", {
    name: "A page of nothing",
    query: { limit: "0" },
    ...other,
    expect: 400,
    code: "validation_failed",
    tests: complainsOf("query.limit")
  }),
  call("listChatrooms", {
    name: "A cursor that we did not make",
    query: { cursor: "bm9uZQ" },
    ...other,
    expect: 400,
    code: "validation_failed",
    tests: complainsOf("query.cursor")
  }),
  call("createChatroom", {
    name: "Open a room with a key",
    body: { title: "Mine" },
    headers: { "Idempotency-Key": "{{otherMobile}}" },
    ...other,
    expect: 201,
    tests: keep({ otherRoomId: "id" })
  }),
  call("createChatroom", {
    name: "The same key for something else",
    body: { title: "Not mine" },
    headers: { "Idempotency-Key": "{{otherMobile}}" },
    ...other,
    expect: 422,
    code: "idempotency_key_reused"
  }),
  call("sendMessage", {
    name: "An empty question",
    path: { id: "{{otherRoomId}}" },
    body: { content: "" },
    ...other,
    expect: 400,
    code: "validation_failed",
    tests: complainsOf("/content")
  })
]

import { execFileSync } from "node:child_process"
import { assert, describe, it } from "vitest"
import { curlOf, shownBody } from "../../web/api/curl.ts"

const request = {
  operation: "POST /chatroom/:id/message",
  method: "POST",
  path: "/chatroom/1/message?wait=20",
  headers: { "content-type": "application/json", authorization: "Bearer secret" },
  body: JSON.stringify({ content: `it's "quoted" $HOME \`id\` \\ \n` })
} as const

describe("a request as curl", () => {
  it("is a command that a shell takes apart as it was, with the token from a variable", () => {
    const script = `curl() { for word in "$@"; do printf '%s\\0' "$word"; done; }; TOKEN=mine; ${curlOf(request)}`
    const words = execFileSync("sh", ["-c", script], { encoding: "utf8" }).split("\0")
    assert.strictEqual(words[words.indexOf("-d") + 1], request.body)
    assert.includeMembers(words, ["-X", "POST", "authorization: Bearer mine", "content-type: application/json"])
    assert.isTrue(words.some((word) => word.endsWith(request.path)))
  })

  it("sends a file by its name", () => {
    const upload = { ...request, operation: "POST /files", path: "/files", body: undefined } as const
    assert.include(curlOf({ ...upload, file: "it's.png" }), String.raw`--data-binary '@it'\''s.png'`)
  })

  it("shows no secret", () => {
    assert.notInclude(curlOf(request), "secret")
    assert.strictEqual(
      shownBody('{"token":"eyJ","refreshToken": "x","name":"Ada"}'),
      '{"token":"…","refreshToken": "…","name":"Ada"}'
    )
    assert.strictEqual(shownBody('{"password":"a\\"b"}'), '{"password":"…"}')
  })
})

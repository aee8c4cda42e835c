import { Headers } from "effect/http"
import { assert, describe, it } from "vitest"
import { requestedWait } from "../../src/server/RequestedWait.ts"

describe("the wait that a request asks for", () => {
  it.each([
    ["/chatroom", {}, undefined],
    ["/chatroom/1/message?wait=8", {}, 8],
    ["/chatroom/1/message?after=2&wait=8", {}, 8],
    ["/chatroom/1/message?wait=99", {}, 30],
    ["/chatroom/1/message?wait=-5", {}, 0],
    ["/chatroom/1/message?wait=soon", {}, 0],
    ["/chatroom/1/message?await=8", {}, 0],
    ["/chatroom/1/message", { prefer: "wait=20" }, 20],
    ["/chatroom/1/message", { prefer: 'respond-async, wait = "30"' }, 30],
    ["/chatroom/1/message", { prefer: "return=minimal" }, 0],
    ["/chatroom/1/message?wait=3", { prefer: "wait=20" }, 3]
  ] as const)("of %s with %o is %s seconds", (url, headers, seconds) => {
    assert.strictEqual(requestedWait({ url, headers: Headers.fromInput(headers) }), seconds)
  })
})

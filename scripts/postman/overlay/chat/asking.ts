import { call, type Folder, keep, pause, script, until } from "../../Overlay.ts"
import { room } from "./paths.ts"

const waited = {
  path: room,
  query: { wait: "20" },
  body: { content: "And why is it dark at night?" },
  headers: { "Idempotency-Key": "{{messageKey}}" },
  expect: 201
}

export const asking: Folder["items"] = [
  call("sendMessage", {
    name: "Ask a question",
    about: "Answered at once with 202: question and waiting reply are stored, Gemini is asked by the queue.",
    path: room,
    body: { content: "Why is the sky blue?" },
    expect: 202,
    tests: [
      keep({ questionId: "message.id", replyId: "reply.id" }),
      script`
        const { message, reply, quota } = pm.response.json()
        pm.test("The reply belongs to the question and has not ended", () => {
          pm.expect(reply.replyTo).to.equal(message.id)
          pm.expect(reply.status).to.be.oneOf(["queued", "processing", "waiting"])
        })
        pm.test("Location leads to the reply, Retry-After says when to look", () => {
          pm.expect(pm.response.headers.get("Location")).to.include("/message/" + reply.id)
          pm.expect(pm.response.headers.get("Retry-After")).to.equal("1")
        })
        pm.test("It took one prompt of the day", () => {
          pm.expect(quota.used).to.equal(1)
          pm.expect(pm.response.headers.get("RateLimit")).to.include("r=" + quota.remaining)
        })
      `
    ].join("\n")
  }),
  call("getLatest", {
    name: "Poll for the reply",
    about: "The runner sends this again every second, as `Retry-After` asks, until the reply has ended.",
    path: room,
    expect: 200,
    before: pause,
    tests: [
      until("The reply is completed", `body.reply.status === "completed"`),
      script`
        pm.test("It is the reply to the question", () => {
          pm.expect(body.message.id).to.equal(pm.variables.get("questionId"))
          pm.expect(body.reply.id).to.equal(pm.variables.get("replyId"))
        })
        if (done) pm.test("It says something and counts its tokens", () => {
          pm.expect(body.reply.content).to.not.equal("")
          pm.expect(body.reply.usage.replyTokens).to.be.above(0)
        })
      `
    ].join("\n")
  }),
  call("sendMessage", {
    ...waited,
    name: "Ask and wait for the reply",
    about: "With `?wait` (up to 30 seconds) no polling is needed: 201 comes with the finished reply.",
    before: script`
      pm.collectionVariables.set("messageKey", pm.variables.replaceIn("{{$guid}}"))
    `,
    tests: [
      keep({ questionId: "message.id", replyId: "reply.id", replyText: "reply.content", remaining: "quota.remaining" }),
      script`
        pm.test("The reply is completed", () => pm.expect(pm.response.json().reply.status).to.equal("completed"))
      `
    ].join("\n")
  }),
  call("sendMessage", {
    ...waited,
    name: "Ask it again with the same key",
    about: "As a client does whose connection broke: the same question and reply come back, and no prompt is taken.",
    tests: script`
      const { message, quota } = pm.response.json()
      pm.test("It is the same question, replayed", () => {
        pm.expect(message.id).to.equal(pm.variables.get("questionId"))
        pm.expect(pm.response.headers.get("Idempotent-Replayed")).to.equal("true")
        pm.expect(quota.remaining).to.equal(Number(pm.variables.get("remaining")))
      })
    `
  })
]

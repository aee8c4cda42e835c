import { call, type Folder, keep, script } from "../../Overlay.ts"
import { reply, room } from "./paths.ts"

export const changing: Folder["items"] = [
  call("regenerateMessage", {
    name: "Ask for another reply",
    about: "The id is the reply's. The old one stays readable and points to the new one.",
    path: reply,
    expect: 202,
    tests: script`
      const { message, reply } = pm.response.json()
      pm.test("It is a new reply to the same question", () => {
        pm.expect(message.id).to.equal(pm.variables.get("questionId"))
        pm.expect(reply.id).to.not.equal(pm.variables.get("replyId"))
      })
      pm.collectionVariables.set("replyId", reply.id)
    `
  }),
  call("getMessage", {
    name: "Wait for the other reply",
    path: reply,
    query: { wait: "20" },
    expect: 200,
    tests: script`
      pm.test("The reply is completed", () => pm.expect(pm.response.json().status).to.equal("completed"))
    `
  }),
  call("cancelMessage", {
    name: "Too late to stop it",
    path: reply,
    expect: 409,
    code: "already_finished"
  }),
  call("sendMessage", {
    name: "Ask for something long",
    about:
      "The words in brackets make the Gemini simulator slow, so that there is time to stop it; to Google's model they mean nothing.",
    path: room,
    body: { content: "Write a very long story about the sky, of twenty chapters. [[latency 20000]]" },
    expect: 202,
    tests: keep({ replyId: "reply.id" })
  }),
  call("cancelMessage", {
    name: "Stop it",
    path: reply,
    expect: 200,
    tests: script`
      const message = pm.response.json()
      pm.test("It is cancelled and stays so", () => {
        pm.expect(message.status).to.equal("cancelled")
        pm.expect(message.completedAt).to.be.a("string")
      })
    `
  }),
  call("search", {
    name: "Search the messages",
    query: { q: "blue" },
    expect: 200,
    tests: script`
      const { data: found } = pm.response.json()
      pm.test("The question is found, with a snippet", () => {
        pm.expect(found.map(({ content }) => content)).to.include("Why is the sky blue?")
        pm.expect(found[0].snippet).to.be.a("string")
      })
    `
  }),
  call("exportChatroom", {
    name: "Export the room as JSON",
    path: room,
    expect: 200,
    tests: script`
      pm.test("It has every message", () => pm.expect(pm.response.json().messages).to.have.lengthOf.above(4))
    `
  }),
  call("exportChatroom", {
    name: "Export the room as Markdown",
    path: room,
    query: { format: "markdown" },
    media: "text/markdown",
    expect: 200,
    tests: script`
      pm.test("It is Markdown with the question in it", () => {
        pm.expect(pm.response.headers.get("Content-Type")).to.match(/^text\/markdown/)
        pm.expect(pm.response.text()).to.include("Why is the sky blue?")
      })
    `
  })
]

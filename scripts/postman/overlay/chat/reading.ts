import { call, type Folder, script } from "../../Overlay.ts"
import { reply, room } from "./paths.ts"

/** Events of a stream that was read to its end. */
const readEvents = script`
  const events = pm.response.text().split("\n\n").map((block) => {
    const field = (name) => (block.match(new RegExp("^" + name + ": (.*)$", "m")) || [])[1]
    return { event: field("event"), id: field("id"), data: field("data") && JSON.parse(field("data")) }
  })
`

export const reading: Folder["items"] = [
  call("getMessage", {
    name: "Read the reply",
    path: reply,
    expect: 200,
    tests: script`
      const message = pm.response.json()
      pm.test("It is the reply, whole", () => {
        pm.expect(message.role).to.equal("model")
        pm.expect(message.content).to.equal(pm.variables.get("replyText"))
        pm.expect(message.completedAt).to.be.a("string")
      })
    `
  }),
  call("streamMessage", {
    name: "Stream the reply",
    about:
      "Server-sent events. Of a finished reply the text comes in one piece and the stream ends; open it while one is being made to watch it being written.",
    path: reply,
    expect: 200,
    tests: [
      readEvents,
      script`
        pm.test("It is a stream of events", () => pm.expect(pm.response.headers.get("Content-Type")).to.match(/^text\/event-stream/))
        const deltas = events.filter(({ event }) => event === "delta")
        const end = events.find(({ event }) => event === "completed")
        pm.test("Its text is the reply's, in one piece", () => {
          pm.expect(deltas).to.have.lengthOf(1)
          pm.expect(deltas[0].data.text).to.equal(pm.variables.get("replyText"))
        })
        pm.test("It ends with the finished message", () => pm.expect(end.data.id).to.equal(pm.variables.get("replyId")))
        pm.collectionVariables.set("position", end.id)
      `
    ].join("\n")
  }),
  call("streamMessage", {
    name: "Resume the stream at its end",
    about: "From the id of an event a stream goes on where it broke. This one is read to its end: there is nothing more.",
    path: reply,
    headers: { "Last-Event-ID": "{{position}}" },
    expect: 204
  }),
  call("getMessageContext", {
    name: "What the model was sent",
    path: reply,
    expect: 200,
    tests: script`
      const context = pm.response.json()
      pm.test("It saw the question, what was said before, and the room's instruction", () => {
        pm.expect(context.included.map(({ id }) => id)).to.include(pm.variables.get("questionId"))
        pm.expect(context.included).to.have.lengthOf.above(2)
        pm.expect(context.systemPrompt).to.not.equal(null)
      })
    `
  }),
  call("listMessages", {
    name: "The room's history",
    path: room,
    query: { limit: "50" },
    expect: 200,
    tests: script`
      const { data: history } = pm.response.json()
      pm.test("Two questions with their replies, the newest first", () => {
        pm.expect(history).to.have.lengthOf(4)
        pm.expect(history[3].content).to.equal("Why is the sky blue?")
      })
    `
  })
]

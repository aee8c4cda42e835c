import { type Place, placeOf } from "../stream/SseClient.ts"
import type { Person, Reply } from "./Client.ts"
import { until } from "./wait.ts"

/** Asks in the given room or a new one, and returns the ids of room and reply. */
export const sendQuestion = async (person: Person, content: string, room?: string): Promise<Place> => {
  const sent = await person.ask(room ?? (await person.room()), content)
  if (sent.status !== 202) throw new Error(`not accepted: ${sent.text}`)
  return placeOf(sent)
}

export const readMessage = (person: Person, { reply, room }: Place, query = ""): Promise<Reply> =>
  person.call("GET", `/chatroom/${room}/message/${reply}${query}`)

/** The message once it has ended. */
// oxlint-disable-next-line typescript/no-explicit-any -- tests read the answer as it came over the wire
export const readEnded = async (person: Person, place: Place): Promise<any> => {
  const found = await readMessage(person, place, "?wait=30")
  if (!["completed", "failed", "cancelled"].includes(found.body?.status)) throw new Error(`has not ended: ${found.text}`)
  return found.body
}

/** Waits until the reply has ended, without a limit. */
export const awaitEnd = async (person: Person, sent: Reply): Promise<Reply> => {
  const path = `/chatroom/${sent.body.reply.chatroomId}/message/${sent.body.reply.id}?wait=20`
  while (true) {
    const reply = await person.call("GET", path)
    if (reply.status !== 200 || !["queued", "processing", "waiting"].includes(reply.body.status)) return reply
  }
}

export const awaitStatus = (person: Person, place: Place, status: string) =>
  until(`the status ${status}`, async () => (await readMessage(person, place)).body.status === status)

export const usedToday = async (person: Person): Promise<number> => (await person.call("GET", "/user/me")).body.quota.used

let prompts = 0

/** Makes a prompt unique, because the simulator counts a fault's `times` by prompt. */
export const uniquePrompt = (words: string) => `${words} No. ${prompts++}`

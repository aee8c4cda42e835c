import type { Person, Reply } from "../support/Client.ts"
import { request } from "../support/Client.ts"

/** Asks a question in the room and waits for its reply; returns the ids. */
export const exchange = async (person: Person, room: string, content: string) => {
  const sent = await person.ask(room, content, { wait: 30 })
  if (sent.body.reply?.status !== "completed") throw new Error(`no reply: ${sent.text}`)
  return { question: String(sent.body.message.id), reply: String(sent.body.reply.id) }
}

/** A room with answered questions. */
export const roomWith = async (person: Person, ...questions: ReadonlyArray<string>): Promise<string> => {
  const room = await person.room({ title: "Looms", systemPrompt: "You are a private weaver." })
  for (const question of questions) await exchange(person, room, question)
  return room
}

export const share = (person: Person, room: string, body: object = {}, headers: Record<string, string> = {}): Promise<Reply> =>
  person.call("POST", `/chatroom/${room}/share`, body, headers)

export const tokenOf = ({ body }: Reply): string => String(body.url).split("/").at(-1) ?? ""

export const read = (base: string, token: string, query = "", headers: Record<string, string> = {}): Promise<Reply> =>
  request(base, "GET", `/share/${token}${query}`, { headers })

/** The texts that a link shows. */
export const textsOf = ({ body }: Reply): ReadonlyArray<string> =>
  body.messages.map(({ content }: { readonly content: string }) => content)

import { signal } from "@preact/signals"
import type { ResponseOf } from "../api/contract.ts"

export type Message = ResponseOf<"GET /chatroom/:id/message/:mid">

/** The messages of the open room, by id. Ids are in the order of time. */
export const messages = signal<ReadonlyMap<string, Message>>(new Map())

export const hasEnded = ({ status }: Message): boolean => status === "completed" || status === "failed" || status === "cancelled"

/** Adds or replaces messages; a list has no thoughts, so known ones are kept. */
export const putMessages = (list: ReadonlyArray<Message>): void => {
  const next = new Map(messages.value)
  for (const message of list) {
    const thoughts = message.thoughts ?? next.get(message.id)?.thoughts
    next.set(message.id, thoughts === undefined ? message : { ...message, thoughts })
  }
  messages.value = next
}

export const patchMessage = (id: string, change: Partial<Message>): void => {
  const known = messages.value.get(id)
  if (known !== undefined) messages.value = new Map(messages.value).set(id, { ...known, ...change })
}

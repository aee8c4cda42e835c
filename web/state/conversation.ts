import { batch, computed, signal } from "@preact/signals"
import { call, idempotencyKey } from "../api/client.ts"
import type { RequestOf, ResponseOf } from "../api/contract.ts"
import { setQuota } from "./account.ts"
import { announce } from "./announcements.ts"
import { attempt } from "./attempt.ts"
import { followsEnd, head, oldest } from "./branch.ts"
import { followReply, stopFollowing } from "./following.ts"
import { hasEnded, type Message, putMessages, messages, patchMessage } from "./messages.ts"
import { changeRoom, keepRoom, loadRooms, rooms, updateRoom } from "./rooms.ts"

type Asked = NonNullable<RequestOf<"POST /chatroom/:id/message">["body"]>
export type ContextReceipt = ResponseOf<"GET /chatroom/:id/message/:mid/context">

export const isLoading = signal(false)

export const isAnswering = computed(() => [...messages.value.values()].some((message) => !hasEnded(message)))

const followAll = (roomId: string): void => {
  for (const message of messages.value.values()) if (message.chatroomId === roomId && !hasEnded(message)) followReply(message)
}

let current: string | undefined

/** A page of the branch on which the room stands, newest first. */
const loadPage = (id: string, before?: string) => {
  const query = { branch: "active" as const, limit: 50, ...(before === undefined ? {} : { before }) }
  return call("GET /chatroom/:id/messages", { params: { id }, query })
}

/** Adds a room that the list does not contain. */
const loadRoom = async (id: string): Promise<void> => {
  if (rooms.value.some((room) => room.id === id)) return
  const { messages: _, ...room } = await call("GET /chatroom/:id", { params: { id } })
  keepRoom(room)
}

/** Shows a room: the last messages of its branch, and the replies that are being written. */
export const showRoom = async (id: string | undefined): Promise<void> => {
  if (current === id) return
  current = id
  clearConversation(id)
  if (id === undefined) return
  isLoading.value = true
  try {
    const [{ data }] = await Promise.all([loadPage(id), loadRoom(id)])
    if (current !== id) return
    batch(() => {
      // What was sent meanwhile is newer than this list.
      putMessages(data.filter((message) => !messages.value.has(message.id)))
      head.value ??= data[0]?.id
    })
    followAll(id)
  } finally {
    if (current === id) isLoading.value = false
  }
}

export const loadOlder = async (roomId: string): Promise<void> => {
  if (oldest.value !== undefined) putMessages((await loadPage(roomId, oldest.value.id)).data)
}

type Accepted = ResponseOf<"POST /chatroom/:id/message">

const accept = ({ message, quota, reply }: Accepted): void => {
  batch(() => {
    if (message.chatroomId === current) {
      // The list may have brought them already, with more text.
      putMessages([message, reply].filter(({ id }) => !messages.value.has(id)))
      head.value = reply.id
      followsEnd.value = true
    }
    setQuota(quota)
    updateRoom(message.chatroomId, { lastMessageAt: message.createdAt })
  })
  announce("Question sent")
  followReply(reply)
  // The first question gives the room its title.
  const isUntitled = rooms.value.some(({ id, titleSource }) => id === message.chatroomId && titleSource === "default")
  if (isUntitled) void attempt(loadRooms)
}

export const ask = async (roomId: string, body: Asked): Promise<void> => {
  accept(await call("POST /chatroom/:id/message", { params: { id: roomId }, headers: idempotencyKey(), body }))
}

const addressOf = ({ chatroomId, id }: Message) => ({ params: { id: chatroomId, mid: id } })

export const regenerate = async (reply: Message): Promise<void> => {
  const request = { ...addressOf(reply), headers: idempotencyKey(), body: {} }
  const accepted = await call("POST /chatroom/:id/message/:mid/regenerate", request)
  patchMessage(reply.id, { supersededBy: accepted.reply.id })
  accept(accepted)
}

/** Asks a question in other words. The old one stays as a version of it, with all that follows. */
export const edit = async (question: Message, content: string): Promise<void> => {
  const request = { ...addressOf(question), headers: idempotencyKey(), body: { content } }
  accept(await call("POST /chatroom/:id/message/:mid/edit", request))
}

/** Goes to the branch of another version of a message. */
export const moveTo = async ({ chatroomId }: Message, version: string): Promise<void> => {
  const before = head.value
  await changeRoom(chatroomId, { headId: version })
  const { data } = await loadPage(chatroomId)
  if (current !== chatroomId || head.value !== before) return
  batch(() => {
    // The version stays where the reader looks at it.
    followsEnd.value = false
    putMessages(data)
    head.value = data[0]?.id
  })
  const { count, index } = messages.value.get(version)?.versions ?? { count: 0, index: 0 }
  announce(`Version ${index} of ${count}`)
}

export const stop = async (reply: Message): Promise<void> => {
  putMessages([await call("POST /chatroom/:id/message/:mid/cancel", addressOf(reply))])
}

export const rate = async (reply: Message, rating: "up" | "down" | null): Promise<void> => {
  putMessages([await call("PUT /chatroom/:id/message/:mid/feedback", { ...addressOf(reply), body: { rating } })])
}

export const loadReceipt = (reply: Message): Promise<ContextReceipt> =>
  call("GET /chatroom/:id/message/:mid/context", addressOf(reply))

/** The whole message: lists leave out the thoughts. */
export const loadWhole = async (reply: Message): Promise<void> => {
  putMessages([await call("GET /chatroom/:id/message/:mid", addressOf(reply))])
}

export const clearConversation = (id?: string): void =>
  batch(() => {
    current = id
    stopFollowing()
    messages.value = new Map()
    head.value = undefined
    followsEnd.value = true
    isLoading.value = false
  })

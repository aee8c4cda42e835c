import { batch, computed, signal } from "@preact/signals"
import { call, idempotencyKey } from "../api/client.ts"
import type { RequestOf, ResponseOf } from "../api/contract.ts"
import { setQuota } from "./account.ts"
import { announce } from "./announcements.ts"
import { attempt } from "./attempt.ts"
import { followReply, stopFollowing } from "./following.ts"
import { hasEnded, type Message, putMessages, messages, patchMessage } from "./messages.ts"
import { keepRoom, loadRooms, rooms, updateRoom } from "./rooms.ts"

type Settings = NonNullable<NonNullable<RequestOf<"POST /chatroom/:id/message">["body"]>["settings"]>
export type ContextReceipt = ResponseOf<"GET /chatroom/:id/message/:mid/context">

export const isLoading = signal(false)
export const hasOlder = signal(false)
/** The versions that the user has chosen to read, by question. */
export const chosenVersions = signal<ReadonlyMap<string, string>>(new Map())

/** A question and the replies to it, oldest first. */
export interface Turn {
  readonly question: Message
  readonly replies: ReadonlyArray<Message>
}

export const turns = computed<ReadonlyArray<Turn>>(() => {
  const all = [...messages.value.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const replies = Map.groupBy(
    all.filter(({ role }) => role === "model"),
    ({ replyTo }) => replyTo
  )
  return all.filter(({ role }) => role === "user").map((question) => ({ question, replies: replies.get(question.id) ?? [] }))
})

export const isAnswering = computed(() => [...messages.value.values()].some((message) => !hasEnded(message)))

const followAll = (roomId: string): void => {
  for (const message of messages.value.values()) if (message.chatroomId === roomId && !hasEnded(message)) followReply(message)
}

let current: string | undefined

/** Shows a room: its last messages, and the replies that are being written. */
export const showRoom = async (id: string | undefined): Promise<void> => {
  if (current === id) return
  current = id
  clearConversation(id)
  if (id === undefined) return
  isLoading.value = true
  try {
    const { messages: newest, ...room } = await call("GET /chatroom/:id", { params: { id } })
    if (current !== id) return
    batch(() => {
      keepRoom(room)
      // What was sent meanwhile is newer than this list.
      putMessages(newest.filter((message) => !messages.value.has(message.id)))
      hasOlder.value = newest.length === 50
    })
    followAll(id)
  } finally {
    if (current === id) isLoading.value = false
  }
}

export const loadOlder = async (roomId: string): Promise<void> => {
  const [oldest] = [...messages.value.keys()].toSorted()
  if (oldest === undefined) return
  const page = await call("GET /chatroom/:id/messages", { params: { id: roomId }, query: { before: oldest, limit: "50" } })
  batch(() => {
    putMessages(page.data)
    hasOlder.value = page.hasMore
  })
}

type Accepted = ResponseOf<"POST /chatroom/:id/message">

const accept = ({ message, quota, reply }: Accepted): void => {
  batch(() => {
    if (message.chatroomId === current) putMessages([message, reply])
    setQuota(quota)
    updateRoom(message.chatroomId, { lastMessageAt: message.createdAt })
  })
  announce("Question sent")
  followReply(reply)
  // The first question gives the room its title.
  const isUntitled = rooms.value.some(({ id, titleSource }) => id === message.chatroomId && titleSource === "default")
  if (isUntitled) void attempt(loadRooms)
}

export const ask = async (roomId: string, content: string, settings: Settings | undefined): Promise<void> => {
  const body = settings === undefined ? { content } : { content, settings }
  accept(await call("POST /chatroom/:id/message", { params: { id: roomId }, headers: idempotencyKey(), body }))
}

const addressOf = ({ chatroomId, id }: Message) => ({ params: { id: chatroomId, mid: id } })

export const regenerate = async (reply: Message): Promise<void> => {
  const request = { ...addressOf(reply), headers: idempotencyKey(), body: {} }
  const accepted = await call("POST /chatroom/:id/message/:mid/regenerate", request)
  patchMessage(reply.id, { supersededBy: accepted.reply.id })
  chooseVersion(accepted.message.id, accepted.reply.id)
  accept(accepted)
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

export const chooseVersion = (questionId: string, replyId: string): void => {
  chosenVersions.value = new Map(chosenVersions.value).set(questionId, replyId)
}

export const clearConversation = (id?: string): void =>
  batch(() => {
    current = id
    stopFollowing()
    messages.value = new Map()
    chosenVersions.value = new Map()
    hasOlder.value = false
    isLoading.value = false
  })

import { setTimeout as sleep } from "node:timers/promises"
import type { Slot } from "./Fleet.ts"
import { isUnsure, type Question, type Shown } from "./Ledger.ts"
import { makePrompt } from "./Prompts.ts"
import type { Random } from "./Random.ts"
import { type Listed, Room } from "./Rooms.ts"
import { follow } from "./Streaming.ts"
import { type Answer, anyApi, ask, expect, other, type World } from "./World.ts"

interface Sent {
  readonly message: { readonly id: string; readonly content: string }
  readonly reply: Shown & { readonly createdAt: string }
  readonly quota: { readonly limit: number | null; readonly used: number }
}

/** One way to ask for something: the same over and over, until there is an answer that counts. */
type Attempt<Body> = (api: Slot) => Promise<Answer<Body>>

/** Somebody with a token and rooms, who does at random what a client may do, and notes what came of it. */
export class Customer {
  readonly number: number
  readonly userId: string
  readonly rooms: Array<Room> = []
  /** Streams that are followed beside everything else. */
  readonly following = new Set<Promise<void>>()
  private readonly world: World
  private readonly token: string
  private readonly random: Random
  private counter = 0

  constructor(world: World, number: number, login: { readonly token: string; readonly userId: string }, random: Random) {
    this.world = world
    this.number = number
    this.userId = login.userId
    this.token = login.token
    this.random = random
  }

  call<Body>(
    api: Slot,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {}
  ): Promise<Answer<Body>> {
    return ask<Body>(this.world, api, { method, path, token: this.token, headers, ...(body === undefined ? {} : { body }) })
  }

  /** Tries, here and there, until there is an answer that is sure; after a while without any, the last one. */
  private async insist<Body>(
    first: Slot,
    attempt: Attempt<Body>,
    onAnswer: (answer: Answer<Body>) => void = () => {}
  ): Promise<Answer<Body>> {
    let api = first
    for (let tries = 1; ; tries++) {
      const answer = await attempt(api)
      onAnswer(answer)
      if (!isUnsure(answer) || tries === 60) return answer
      await sleep(this.random.between(100, 700))
      api = other(this.world, api)
    }
  }

  // --- rooms

  /** With a system prompt so long: a list of such rooms takes its time, in which it can be overtaken by a change. */
  async openRoom(api: Slot, promptLength = 0): Promise<Room | undefined> {
    const number = ++this.counter
    const key = `room-${this.number}-${number}`
    const ids = new Set<string>()
    this.world.ledger.createdRooms.set(key, ids)
    const settings = { systemPrompt: "x".repeat(promptLength), model: this.random.chance(0.2) ? "gemini-3.8-pro" : null }
    const answer = await this.insist<{ id: string }>(
      api,
      (to) => this.call(to, "POST", "/chatroom", { title: `room ${number} v0`, ...settings }, { "idempotency-key": key }),
      ({ body, status }) => void (status === 201 && ids.add(body.id))
    )
    expect(this.world, "create", answer, [201])
    return answer.status === 201 ? new Room(answer.body.id, number, answer) : undefined
  }

  async rename(room: Room, api: Slot): Promise<void> {
    if (room.isRenaming) return
    room.isRenaming = true
    const title = room.nextTitle()
    const answer = await this.call(api, "PATCH", `/chatroom/${room.id}`, { title })
    expect(this.world, "rename", answer, [200])
    room.renamed(title, answer)
    room.isRenaming = false
    this.world.ledger.count("renames")
  }

  /** Looks at the list, and notes every change that it should show and does not. */
  async list(api: Slot): Promise<Answer<{ data: ReadonlyArray<Listed> }>> {
    const { ledger } = this.world
    const rooms = [...this.rooms]
    const answer = await this.call<{ data: ReadonlyArray<Listed> }>(api, "GET", "/chatroom?limit=100")
    expect(this.world, "list", answer, [200])
    if (answer.status !== 200) return answer
    const cache = answer.headers.get("cache-status") ?? ""
    ledger.count(`lists (${cache.replace("chatrooms; ", "")})`)
    for (const room of rooms) {
      const listed = answer.body.data.find(({ id }) => id === room.id)
      for (const change of room.missing(listed, answer.askedAt))
        ledger.stale.push({ change, askedAt: answer.askedAt, slot: api.name, cache })
    }
    return answer
  }

  /** A room that comes, is renamed and goes. */
  private async scratch(api: Slot): Promise<void> {
    const room = await this.openRoom(api)
    if (room === undefined) return
    this.rooms.push(room)
    await this.list(other(this.world, api))
    await this.rename(room, api)
    room.removing()
    const answer = await this.insist(api, (to) => this.call(to, "DELETE", `/chatroom/${room.id}`))
    // It is gone already when the answer of a try before was lost.
    expect(this.world, "remove", answer, [204, 404])
    if (answer.status === 204 || answer.status === 404) room.removed(answer)
    await this.list(other(this.world, api))
  }

  /**
   * Changes here while the other process is asked for the list all the time, then looks again when all must have
   * heard. The changes follow each other closely, so that one comes while what the one before has spoilt is read anew.
   */
  private async race(api: Slot): Promise<void> {
    const { random, world } = this
    let isOver = false
    const looking = Array.from({ length: 8 }, async () => {
      while (!isOver) if ((await this.list(other(world, api))).status !== 200) await sleep(100)
    })
    for (let times = random.whole(3, 6); times > 0; times--) {
      await Promise.all(this.rooms.slice(0, 3).map((room) => sleep(random.between(0, 8)).then(() => this.rename(room, api))))
    }
    isOver = true
    await Promise.all(looking)
    await sleep(random.between(2_050, 2_600))
    for (const process of world.apis) await this.list(process)
  }

  // --- messages

  private ask(room: Room, prompt: string, key: string | undefined): Question {
    const question = { userId: this.userId, roomId: room.id, prompt, key, answers: [] }
    this.world.ledger.questions.push(question)
    this.world.ledger.count("sends")
    return question
  }

  private noteAnswer(question: Question, room: Room, answer: Answer<Sent>, api: Slot): void {
    const { ledger } = this.world
    const { body, code, status } = answer
    if (status !== 201 && status !== 202) return void question.answers.push({ status, code })
    question.answers.push({ status, questionId: body.message.id, replyId: body.reply.id })
    ledger.show(body.reply, `a send to ${api.name}`)
    room.sentTo(body.reply.createdAt, answer)
    if (!room.replies.includes(body.reply.id)) room.replies.push(body.reply.id)
    const { limit, used } = body.quota
    if (limit !== null && used > limit) ledger.violate("quota-limit", `user ${this.userId} was told of ${used} of ${limit}`)
  }

  /** With a key until it is answered for sure; without one once, for nobody can tell what became of it. */
  private async submit(question: Question, room: Room, path: string, body: unknown, api: Slot): Promise<Answer<Sent>> {
    const { key } = question
    const headers = key === undefined ? {} : { "idempotency-key": key }
    const attempt: Attempt<Sent> = async (to) => {
      const answer = await this.call<Sent>(to, "POST", path, body, headers)
      this.noteAnswer(question, room, answer, to)
      return answer
    }
    const twice = key !== undefined && this.random.chance(0.15)
    const [answer] = await Promise.all([
      key === undefined ? attempt(api) : this.insist(api, attempt),
      // A double click, or an impatient proxy: the same once more, at the same moment, elsewhere.
      ...(twice ? [attempt(other(this.world, api))] : [])
    ])
    this.world.ledger.count(
      answer.status === 201 || answer.status === 202
        ? "accepted"
        : `not accepted: ${answer.code ?? (answer.status || "broken connection")}`
    )
    return answer
  }

  private async send(room: Room, api: Slot): Promise<void> {
    const marker = `#${this.number}.${room.number}.${++this.counter}#`
    const question = this.ask(room, makePrompt(marker, this.random), this.random.chance(0.6) ? marker : undefined)
    const wait = this.random.chance(0.15) ? "?wait=8" : ""
    const answer = await this.submit(question, room, `/chatroom/${room.id}/message${wait}`, { content: question.prompt }, api)
    expect(this.world, "send", answer, [201, 202, "room_busy", "quota_exceeded"])
    if (answer.status === 202 && this.following.size < 4 && this.random.chance(0.7)) {
      this.follow(room, answer.body.reply.id, other(this.world, api))
    }
  }

  private async regenerate(room: Room, replyId: string, api: Slot): Promise<void> {
    const question = this.ask(room, "", this.random.chance(0.5) ? `again-${this.number}-${++this.counter}` : undefined)
    const answer = await this.submit(question, room, `/chatroom/${room.id}/message/${replyId}/regenerate`, undefined, api)
    expect(this.world, "regenerate", answer, [202, "room_busy", "not_finished", "quota_exceeded"])
    if (answer.status === 202 && this.random.chance(0.5)) this.follow(room, answer.body.reply.id, api)
  }

  private async cancel(room: Room, replyId: string, api: Slot): Promise<void> {
    const answer = await this.call<Shown>(api, "POST", `/chatroom/${room.id}/message/${replyId}/cancel`)
    expect(this.world, "cancel", answer, [200, "already_finished"])
    if (answer.status !== 200) return
    this.world.ledger.count("cancels")
    this.world.ledger.show(answer.body, `a cancel at ${api.name}`)
    if (answer.body.status !== "cancelled")
      this.world.ledger.violate("told-is-kept", `${replyId} was cancelled and is ${answer.body.status}`)
  }

  private async look(room: Room, replyId: string, api: Slot): Promise<void> {
    const answer = await this.call<Shown>(api, "GET", `/chatroom/${room.id}/message/${replyId}?wait=${this.random.whole(0, 5)}`)
    expect(this.world, "look", answer, [200])
    if (answer.status === 200) this.world.ledger.show(answer.body, `a look at ${api.name}`)
  }

  private async history(room: Room, api: Slot): Promise<void> {
    const answer = await this.call<{ data: ReadonlyArray<Shown & { role: string }> }>(
      api,
      "GET",
      `/chatroom/${room.id}/messages?limit=50`
    )
    expect(this.world, "history", answer, [200])
    if (answer.status === 200) for (const message of answer.body.data) this.world.ledger.show(message, `a history of ${api.name}`)
  }

  private async me(api: Slot): Promise<void> {
    const answer = await this.call<{ quota: { limit: number; used: number } }>(api, "GET", "/user/me")
    expect(this.world, "me", answer, [200])
    if (answer.status !== 200) return
    const { limit, used } = answer.body.quota
    if (used > limit) this.world.ledger.violate("quota-limit", `user ${this.userId} sees ${used} of ${limit}`)
  }

  private follow(room: Room, replyId: string, api: Slot): void {
    const given = this.world.closesStreams
    const following: Promise<void> = follow(
      this.world,
      api,
      { token: this.token, roomId: room.id, replyId },
      this.random.fork(),
      given
    ).finally(() => this.following.delete(following))
    this.following.add(following)
  }

  // --- what it does all day

  /** One window of somebody who chats: one thing after the other, at whichever process. */
  async chat(): Promise<void> {
    const { random, world } = this
    while (!world.isClosing) {
      const api = anyApi(world, random)
      const room = random.pick(this.rooms.slice(0, 4))
      const replyId = random.chance(0.7) ? room.replies.at(-1) : room.replies.length > 0 ? random.pick(room.replies) : undefined
      const onReply = (act: (room: Room, replyId: string, api: Slot) => Promise<void>) => () =>
        replyId === undefined ? this.send(room, api) : act.call(this, room, replyId, api)
      await random.weighted<() => Promise<unknown>>([
        [26, () => this.send(room, api)],
        [16, () => this.list(api)],
        [8, () => this.rename(room, api)],
        [5, onReply(this.cancel)],
        [6, onReply(this.regenerate)],
        [10, onReply(this.look)],
        [4, () => this.history(room, api)],
        [4, () => this.me(api)],
        [3, () => this.scratch(api)]
      ])()
      await sleep(random.between(100, 900))
    }
  }

  /** Somebody who only tidies up: the one whose list would stay old if a change were missed. */
  async tidy(): Promise<void> {
    const { random, world } = this
    while (!world.isClosing) {
      const api = anyApi(world, random)
      const room = random.pick(this.rooms.slice(0, 4))
      await random.weighted<() => Promise<unknown>>([
        [6, () => this.race(api)],
        [2, () => this.scratch(api)],
        [2, () => this.send(room, api)],
        [2, () => this.list(api)]
      ])()
      await sleep(random.between(50, 300))
    }
  }
}

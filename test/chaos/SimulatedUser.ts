import { request } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import type { SupervisedProcess } from "./SupervisedProcess.ts"
import { isUnsure, type Question, type Shown } from "./Ledger.ts"
import { makePrompt } from "./Prompts.ts"
import type { Random } from "./Random.ts"
import { type Listed, Room } from "./Rooms.ts"
import { follow } from "./Streaming.ts"
import { type Answer, anyApi, ask, expect, honestAddress, other, type Experiment } from "./Experiment.ts"

interface Sent {
  readonly message: { readonly id: string; readonly content: string }
  readonly reply: Shown & { readonly createdAt: string }
  readonly quota: { readonly limit: number | null; readonly used: number }
}

/** A request that can be repeated at any process. */
type Repeatable<Body> = (api: SupervisedProcess) => Promise<Answer<Body>>

/** A user who does at random what a client may do, and records the answers in the ledger. */
export class SimulatedUser {
  readonly number: number
  readonly userId: string
  readonly rooms: Array<Room> = []
  /** Streams that are followed in parallel. */
  readonly following = new Set<Promise<void>>()
  protected readonly experiment: Experiment
  private readonly token: string
  protected readonly random: Random
  private counter = 0

  constructor(
    experiment: Experiment,
    number: number,
    login: { readonly token: string; readonly userId: string },
    random: Random
  ) {
    this.experiment = experiment
    this.number = number
    this.userId = login.userId
    this.token = login.token
    this.random = random
  }

  call<Body>(
    api: SupervisedProcess,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {}
  ): Promise<Answer<Body>> {
    return ask<Body>(this.experiment, api, { method, path, token: this.token, headers, ...(body === undefined ? {} : { body }) })
  }

  /** Repeats the request, at alternating processes, until the answer is sure; after sixty tries returns the last one. */
  private async repeatUntilSure<Body>(
    first: SupervisedProcess,
    attempt: Repeatable<Body>,
    onAnswer: (answer: Answer<Body>) => void = () => {}
  ): Promise<Answer<Body>> {
    let api = first
    for (let tries = 1; ; tries++) {
      const answer = await attempt(api)
      onAnswer(answer)
      if (!isUnsure(answer) || tries === 60) return answer
      await sleep(this.random.between(100, 700))
      api = other(this.experiment, api)
    }
  }

  // --- rooms

  /** A long system prompt makes the list of rooms slow to read, so that a change can overtake the read. */
  async openRoom(api: SupervisedProcess, promptLength = 0): Promise<Room | undefined> {
    const number = ++this.counter
    const key = `room-${this.number}-${number}`
    const ids = new Set<string>()
    this.experiment.ledger.createdRooms.set(key, ids)
    const settings = { systemPrompt: "x".repeat(promptLength), model: this.random.chance(0.2) ? "gemini-3.5-flash" : null }
    const answer = await this.repeatUntilSure<{ id: string }>(
      api,
      (to) => this.call(to, "POST", "/chatroom", { title: `room ${number} v0`, ...settings }, { "idempotency-key": key }),
      ({ body, status }) => void (status === 201 && ids.add(body.id))
    )
    expect(this.experiment, "create", answer, [201])
    return answer.status === 201 ? new Room(answer.body.id, number, answer) : undefined
  }

  async rename(room: Room, api: SupervisedProcess): Promise<void> {
    if (room.isRenaming) return
    room.isRenaming = true
    const title = room.nextTitle()
    const answer = await this.call(api, "PATCH", `/chatroom/${room.id}`, { title })
    expect(this.experiment, "rename", answer, [200])
    room.renamed(title, answer)
    room.isRenaming = false
    this.experiment.ledger.count("renames")
  }

  /** Reads the list, and notes every acknowledged change that it lacks. */
  async list(api: SupervisedProcess): Promise<Answer<{ data: ReadonlyArray<Listed> }>> {
    const { ledger } = this.experiment
    const rooms = [...this.rooms]
    const answer = await this.call<{ data: ReadonlyArray<Listed> }>(api, "GET", "/chatroom?limit=100")
    expect(this.experiment, "list", answer, [200])
    if (answer.status !== 200) return answer
    const cache = answer.headers.get("cache-status") ?? ""
    ledger.count(`lists (${cache.replace("chatrooms; ", "")})`)
    for (const room of rooms) {
      const listed = answer.body.data.find(({ id }) => id === room.id)
      for (const change of room.missing(listed, answer.askedAt))
        ledger.stale.push({
          change,
          askedAt: answer.askedAt,
          process: api.name,
          cache,
          silentFor: api.silentFor(answer.askedAt, answer.at)
        })
    }
    return answer
  }

  /** Creates a room, renames it and deletes it. */
  private async createAndDelete(api: SupervisedProcess): Promise<void> {
    const room = await this.openRoom(api)
    if (room === undefined) return
    this.rooms.push(room)
    await this.list(other(this.experiment, api))
    await this.rename(room, api)
    room.removing()
    const answer = await this.repeatUntilSure(api, (to) => this.call(to, "DELETE", `/chatroom/${room.id}`))
    // 404 when the answer to an earlier try was lost.
    expect(this.experiment, "remove", answer, [204, 404])
    if (answer.status === 204 || answer.status === 404) room.removed(answer)
    await this.list(other(this.experiment, api))
  }

  /**
   * Renames rooms at one process while the other is asked for the list repeatedly, then reads the list when the changes
   * must have arrived. The renames follow each other closely, so that one arrives while the cache is being refilled.
   */
  private async race(api: SupervisedProcess): Promise<void> {
    const { random, experiment } = this
    let isOver = false
    const readers = Array.from({ length: 8 }, async () => {
      while (!isOver) if ((await this.list(other(experiment, api))).status !== 200) await sleep(100)
    })
    for (let times = random.whole(3, 6); times > 0; times--) {
      await Promise.all(this.rooms.slice(0, 3).map((room) => sleep(random.between(0, 8)).then(() => this.rename(room, api))))
    }
    isOver = true
    await Promise.all(readers)
    await sleep(random.between(2_050, 2_600))
    for (const process of experiment.apis) await this.list(process)
  }

  // --- messages

  protected nextMarker(room: Room): string {
    return `#${this.number}.${room.number}.${++this.counter}#`
  }

  /** The status of a PATCH whose body comes later than its head; 0 when the connection breaks. */
  slowRequest(api: SupervisedProcess, path: string, bodyDelay: number): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>()
    const headers = {
      "content-type": "application/json",
      "content-length": "2",
      authorization: `Bearer ${this.token}`,
      ...honestAddress
    }
    const outgoing = request(api.url + path, { method: "PATCH", headers, agent: false }, (answer) => {
      answer.resume().once("end", () => resolve(answer.statusCode ?? 0))
    })
    outgoing.once("error", () => resolve(0))
    outgoing.flushHeaders()
    setTimeout(() => outgoing.end("{}"), bodyDelay)
    return promise
  }

  protected ask(room: Room, prompt: string, key: string | undefined): Question {
    const question = { userId: this.userId, roomId: room.id, prompt, key, answers: [] }
    this.experiment.ledger.questions.push(question)
    this.experiment.ledger.count("sends")
    return question
  }

  private noteAnswer(question: Question, room: Room, answer: Answer<Sent>, api: SupervisedProcess): void {
    const { ledger } = this.experiment
    const { body, code, status } = answer
    if (status !== 201 && status !== 202) return void question.answers.push({ status, code })
    question.answers.push({ status, questionId: body.message.id, replyId: body.reply.id })
    ledger.show(body.reply, `a send to ${api.name}`)
    room.sentTo(body.reply.createdAt, answer)
    if (!room.replies.includes(body.reply.id)) room.replies.push(body.reply.id)
    const { limit, used } = body.quota
    if (limit !== null && used > limit) ledger.violate("quota-limit", `user ${this.userId} was shown ${used} of ${limit}`)
  }

  /** Repeats a request with a key until the answer is sure; sends a request without one once. */
  protected async submit(
    question: Question,
    room: Room,
    path: string,
    body: unknown,
    api: SupervisedProcess
  ): Promise<Answer<Sent>> {
    const { key } = question
    const headers = key === undefined ? {} : { "idempotency-key": key }
    const attempt: Repeatable<Sent> = async (to) => {
      const answer = await this.call<Sent>(to, "POST", path, body, headers)
      this.noteAnswer(question, room, answer, to)
      return answer
    }
    const twice = key !== undefined && this.random.chance(0.15)
    const [answer] = await Promise.all([
      key === undefined ? attempt(api) : this.repeatUntilSure(api, attempt),
      // A double click or an impatient proxy: the same request at the same moment at the other process.
      ...(twice ? [attempt(other(this.experiment, api))] : [])
    ])
    this.experiment.ledger.count(
      answer.status === 201 || answer.status === 202
        ? "accepted"
        : `not accepted: ${answer.code ?? (answer.status || "broken connection")}`
    )
    return answer
  }

  private async send(room: Room, api: SupervisedProcess): Promise<void> {
    const marker = this.nextMarker(room)
    const question = this.ask(room, makePrompt(marker, this.random), this.random.chance(0.6) ? marker : undefined)
    const wait = this.random.chance(0.15) ? "?wait=8" : ""
    const answer = await this.submit(question, room, `/chatroom/${room.id}/message${wait}`, { content: question.prompt }, api)
    expect(this.experiment, "send", answer, [201, 202, "room_busy", "quota_exceeded"])
    if (answer.status === 202 && this.following.size < 4 && this.random.chance(0.7)) {
      this.follow(room, answer.body.reply.id, other(this.experiment, api))
    }
  }

  private async regenerate(room: Room, replyId: string, api: SupervisedProcess): Promise<void> {
    const question = this.ask(room, "", this.random.chance(0.5) ? `again-${this.number}-${++this.counter}` : undefined)
    const answer = await this.submit(question, room, `/chatroom/${room.id}/message/${replyId}/regenerate`, undefined, api)
    expect(this.experiment, "regenerate", answer, [202, "room_busy", "not_finished", "quota_exceeded"])
    if (answer.status === 202 && this.random.chance(0.5)) this.follow(room, answer.body.reply.id, api)
  }

  private async cancel(room: Room, replyId: string, api: SupervisedProcess): Promise<void> {
    const answer = await this.call<Shown>(api, "POST", `/chatroom/${room.id}/message/${replyId}/cancel`)
    expect(this.experiment, "cancel", answer, [200, "already_finished"])
    if (answer.status !== 200) return
    this.experiment.ledger.count("cancels")
    this.experiment.ledger.show(answer.body, `a cancel at ${api.name}`)
    if (answer.body.status !== "cancelled")
      this.experiment.ledger.violate("seen-is-stored", `${replyId} was cancelled and is ${answer.body.status}`)
  }

  private async readReply(room: Room, replyId: string, api: SupervisedProcess): Promise<void> {
    const answer = await this.call<Shown>(api, "GET", `/chatroom/${room.id}/message/${replyId}?wait=${this.random.whole(0, 5)}`)
    expect(this.experiment, "look", answer, [200])
    if (answer.status === 200) this.experiment.ledger.show(answer.body, `a look at ${api.name}`)
  }

  private async history(room: Room, api: SupervisedProcess): Promise<void> {
    const answer = await this.call<{ data: ReadonlyArray<Shown & { role: string }> }>(
      api,
      "GET",
      `/chatroom/${room.id}/messages?limit=50`
    )
    expect(this.experiment, "history", answer, [200])
    if (answer.status === 200)
      for (const message of answer.body.data) this.experiment.ledger.show(message, `a history of ${api.name}`)
  }

  private async me(api: SupervisedProcess): Promise<void> {
    const answer = await this.call<{ quota: { limit: number; used: number } }>(api, "GET", "/user/me")
    expect(this.experiment, "me", answer, [200])
    if (answer.status !== 200) return
    const { limit, used } = answer.body.quota
    if (used > limit) this.experiment.ledger.violate("quota-limit", `user ${this.userId} sees ${used} of ${limit}`)
  }

  private follow(room: Room, replyId: string, api: SupervisedProcess): void {
    const given = this.experiment.closesStreams
    const following: Promise<void> = follow(
      this.experiment,
      api,
      { token: this.token, roomId: room.id, replyId },
      this.random.fork(),
      given
    ).finally(() => this.following.delete(following))
    this.following.add(following)
  }

  // --- sessions

  /** One window of a user who chats: one action after the other, each at a random process. */
  async chat(): Promise<void> {
    const { random, experiment } = this
    while (!experiment.isClosing) {
      const api = anyApi(experiment, random)
      const room = random.pick(this.rooms.slice(0, 4))
      const replyId = random.chance(0.7) ? room.replies.at(-1) : room.replies.length > 0 ? random.pick(room.replies) : undefined
      const onReply = (act: (room: Room, replyId: string, api: SupervisedProcess) => Promise<void>) => () =>
        replyId === undefined ? this.send(room, api) : act.call(this, room, replyId, api)
      await random.weighted<() => Promise<unknown>>([
        [26, () => this.send(room, api)],
        [16, () => this.list(api)],
        [8, () => this.rename(room, api)],
        [5, onReply(this.cancel)],
        [6, onReply(this.regenerate)],
        [10, onReply(this.readReply)],
        [4, () => this.history(room, api)],
        [4, () => this.me(api)],
        [3, () => this.createAndDelete(api)]
      ])()
      await sleep(random.between(100, 900))
    }
  }

  /** A user who mostly changes rooms, so that a missed invalidation leaves a stale list. */
  async editRooms(): Promise<void> {
    const { random, experiment } = this
    while (!experiment.isClosing) {
      const api = anyApi(experiment, random)
      const room = random.pick(this.rooms.slice(0, 4))
      await random.weighted<() => Promise<unknown>>([
        [6, () => this.race(api)],
        [2, () => this.createAndDelete(api)],
        [2, () => this.send(room, api)],
        [2, () => this.list(api)]
      ])()
      await sleep(random.between(50, 300))
    }
  }
}

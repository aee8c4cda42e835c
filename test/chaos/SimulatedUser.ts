import { setTimeout as sleep } from "node:timers/promises"
import { type Answer, anyApi, type Api, expect, other } from "./Experiment.ts"
import type { Question, Shown } from "./Ledger.ts"
import { makePrompt } from "./Prompts.ts"
import type { Room } from "./Rooms.ts"
import { type Repeatable, RoomUser } from "./RoomUser.ts"
import { follow } from "./Streaming.ts"

interface Sent {
  readonly message: { readonly id: string; readonly content: string }
  readonly reply: Shown & { readonly createdAt: string }
  readonly quota: { readonly limit: number | null; readonly used: number }
}

/** A user who does at random what a client may do, and records the answers in the ledger. */
export class SimulatedUser extends RoomUser {
  /** Streams that are followed in parallel. */
  readonly following = new Set<Promise<void>>()

  protected nextMarker(room: Room): string {
    return `#${this.number}.${room.number}.${++this.counter}#`
  }

  protected ask(room: Room, prompt: string, key: string | undefined): Question {
    const question = { userId: this.userId, roomId: room.id, prompt, key, answers: [] }
    this.experiment.ledger.questions.push(question)
    this.experiment.ledger.count("sends")
    return question
  }

  private noteAnswer(question: Question, room: Room, answer: Answer<Sent>, api: Api): void {
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
  protected async submit(question: Question, room: Room, path: string, body: unknown, api: Api): Promise<Answer<Sent>> {
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

  private async send(room: Room, api: Api): Promise<void> {
    const marker = this.nextMarker(room)
    const question = this.ask(room, makePrompt(marker, this.random), this.random.chance(0.6) ? marker : undefined)
    const wait = this.random.chance(0.15) ? "?wait=8" : ""
    const answer = await this.submit(question, room, `/chatroom/${room.id}/message${wait}`, { content: question.prompt }, api)
    expect(this.experiment, "send", answer, [201, 202, "room_busy", "quota_exceeded"])
    if (answer.status === 202 && this.following.size < 4 && this.random.chance(0.7)) {
      this.follow(room, answer.body.reply.id, other(this.experiment, api))
    }
  }

  private async regenerate(room: Room, replyId: string, api: Api): Promise<void> {
    const question = this.ask(room, "", this.random.chance(0.5) ? `again-${this.number}-${++this.counter}` : undefined)
    const answer = await this.submit(question, room, `/chatroom/${room.id}/message/${replyId}/regenerate`, undefined, api)
    expect(this.experiment, "regenerate", answer, [202, "room_busy", "not_finished", "quota_exceeded"])
    if (answer.status === 202 && this.random.chance(0.5)) this.follow(room, answer.body.reply.id, api)
  }

  private async cancel(room: Room, replyId: string, api: Api): Promise<void> {
    const answer = await this.call<Shown>(api, "POST", `/chatroom/${room.id}/message/${replyId}/cancel`)
    expect(this.experiment, "cancel", answer, [200, "already_finished"])
    if (answer.status !== 200) return
    this.experiment.ledger.count("cancels")
    this.experiment.ledger.show(answer.body, `a cancel at ${api.name}`)
    if (answer.body.status !== "cancelled")
      this.experiment.ledger.violate("seen-is-stored", `${replyId} was cancelled and is ${answer.body.status}`)
  }

  private async readReply(room: Room, replyId: string, api: Api): Promise<void> {
    const answer = await this.call<Shown>(api, "GET", `/chatroom/${room.id}/message/${replyId}?wait=${this.random.whole(0, 5)}`)
    expect(this.experiment, "look", answer, [200])
    if (answer.status === 200) this.experiment.ledger.show(answer.body, `a look at ${api.name}`)
  }

  private async history(room: Room, api: Api): Promise<void> {
    const answer = await this.call<{ data: ReadonlyArray<Shown & { role: string }> }>(
      api,
      "GET",
      `/chatroom/${room.id}/messages?limit=50`
    )
    expect(this.experiment, "history", answer, [200])
    if (answer.status === 200)
      for (const message of answer.body.data) this.experiment.ledger.show(message, `a history of ${api.name}`)
  }

  private async me(api: Api): Promise<void> {
    const answer = await this.call<{ quota: { limit: number; used: number } }>(api, "GET", "/user/me")
    expect(this.experiment, "me", answer, [200])
    if (answer.status !== 200) return
    const { limit, used } = answer.body.quota
    if (used > limit) this.experiment.ledger.violate("quota-limit", `user ${this.userId} sees ${used} of ${limit}`)
  }

  private follow(room: Room, replyId: string, api: Api): void {
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

  /** One window of a user who chats: one action after the other, each at a random process. */
  async chat(): Promise<void> {
    const { random, experiment } = this
    while (!experiment.isClosing) {
      const api = anyApi(experiment, random)
      const room = random.pick(this.rooms.slice(0, 4))
      const replyId = random.chance(0.7) ? room.replies.at(-1) : room.replies.length > 0 ? random.pick(room.replies) : undefined
      const onReply = (act: (room: Room, replyId: string, api: Api) => Promise<void>) => () =>
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

import http from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { type Answer, type Api, ask, type Ask, expect, type Experiment, honestAddress, other } from "./Experiment.ts"
import { isUnsure } from "./Ledger.ts"
import type { Random } from "./Random.ts"
import { type Listed, Room } from "./Rooms.ts"

/** A request that can be repeated at any process. */
export type Repeatable<Body> = (api: Api) => Promise<Answer<Body>>

/** A user who changes rooms and reads their list, and records the answers in the ledger. */
export class RoomUser {
  readonly number: number
  readonly userId: string
  readonly rooms: Array<Room> = []
  protected readonly experiment: Experiment
  protected readonly token: string
  protected readonly random: Random
  protected counter = 0

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

  protected request<Body>(
    api: Api,
    method: string,
    path: string,
    { body, bytes, headers }: Pick<Ask, "body" | "bytes" | "headers">
  ): Promise<Answer<Body>> {
    return ask<Body>(this.experiment, api, { method, path, token: this.token, body, bytes, headers })
  }

  call<Body>(
    api: Api,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {}
  ): Promise<Answer<Body>> {
    return this.request(api, method, path, { body, headers })
  }

  /** Repeats the request, at alternating processes, until the answer is sure; after sixty tries returns the last one. */
  protected async repeatUntilSure<Body>(
    first: Api,
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

  /** A long system prompt makes the list of rooms slow to read, so that a change can overtake the read. */
  async openRoom(api: Api, promptLength = 0): Promise<Room | undefined> {
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

  async rename(room: Room, api: Api): Promise<void> {
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
  async list(api: Api): Promise<Answer<{ data: ReadonlyArray<Listed> }>> {
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
          process: api.senderOf(answer.headers)?.name ?? api.name,
          cache,
          silentFor: answer.silentFor
        })
    }
    return answer
  }

  /** Creates a room, renames it and deletes it. */
  protected async createAndDelete(api: Api): Promise<void> {
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
  protected async race(api: Api): Promise<void> {
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

  /** The status of a PATCH whose body comes later than its head; 0 when the connection breaks. */
  slowRequest(api: Api, path: string, bodyDelay: number): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>()
    const headers = {
      "content-type": "application/json",
      "content-length": "2",
      authorization: `Bearer ${this.token}`,
      ...honestAddress
    }
    const outgoing = http.request(api.url + path, { method: "PATCH", headers, agent: false }, (answer) => {
      answer.resume().once("end", () => resolve(answer.statusCode ?? 0))
    })
    outgoing.once("error", () => resolve(0))
    outgoing.flushHeaders()
    setTimeout(() => outgoing.end("{}"), bodyDelay)
    return promise
  }
}

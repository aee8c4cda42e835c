import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import type { Person } from "../support/Client.ts"
import { newUser } from "../support/Users.ts"
import type { Api, Experiment } from "./Experiment.ts"

export const attacks = ["waits", "unread answers", "searches", "slow bodies", "prompts"] as const
export type Attack = (typeof attacks)[number]

/** Another address than the honest users have, as the trusted proxy reports it. */
const address = { "x-forwarded-for": "203.0.113.66" }
/** What is of interest in an answer. */
type SentReply = { readonly reply?: { readonly id: string } } | undefined

const longRoom = { messages: 200, characters: 20_000 }

/** A Pro user with long messages who takes all that one account can take. Its rows are not part of the evidence. */
export class HostileUser {
  readonly userId: string
  private readonly person: Person
  private readonly rooms: ReadonlyArray<string>

  private constructor(person: Person, rooms: ReadonlyArray<string>) {
    this.person = person
    this.rooms = rooms
    this.userId = person.userId
  }

  static async logIn(experiment: Experiment): Promise<HostileUser> {
    const { apis, database } = experiment
    const person = await newUser(apis[0].url, database)
    await database.query("update users set pro_until = now() + interval '1 day' where id = $1", [person.userId])
    const rooms: Array<string> = []
    while (rooms.length < 20) rooms.push(await person.room())
    await database.query(
      `insert into messages (user_id, id, chatroom_id, role, content, status, created_at, completed_at)
        select $1, ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, $2, case when n % 2 = 0 then 'user' else 'model' end,
          left(repeat(md5(n::text) || ' ', $4 / 33 + 1), $4), 'completed', now(), now() from generate_series(0, $3 - 1) n`,
      [person.userId, rooms[0], longRoom.messages, longRoom.characters]
    )
    return new HostileUser(person, rooms)
  }

  /** Attacks one process until the signal. */
  async attack(kind: Attack, api: Api, until: AbortSignal): Promise<void> {
    switch (kind) {
      case "waits":
        return this.wait(api, until)
      case "unread answers":
        return this.leaveUnread(api, until)
      case "searches":
        return this.search(api, until)
      case "slow bodies":
        return this.sendSlowly(api, until)
      case "prompts":
        return this.prompt(api, until)
    }
  }

  private fetch(api: Api, path: string, signal: AbortSignal, body?: unknown): Promise<SentReply> {
    const headers = { authorization: `Bearer ${this.person.token}`, ...address }
    return fetch(api.url + path, {
      headers: body === undefined ? headers : { ...headers, "content-type": "application/json" },
      signal,
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) })
    }).then(
      (response) => response.json().catch(() => undefined) as Promise<SentReply>,
      () => undefined
    )
  }

  /** Repeats the work in parallel; each repetition starts at once after the one before. */
  private async parallel(count: number, until: AbortSignal, work: () => Promise<unknown>): Promise<void> {
    const repeat = async () => {
      while (!until.aborted) {
        await work()
        await sleep(20)
      }
    }
    await Promise.all(Array.from({ length: count }, repeat))
  }

  private async wait(api: Api, until: AbortSignal): Promise<void> {
    const room = this.rooms[1]
    await this.parallel(2, until, async () => {
      const sent = await this.fetch(api, `/chatroom/${room}/message`, until, { content: "[[chunks 100 delay 100]] Slow." })
      const path = `/chatroom/${room}/message/${sent?.reply?.id}?wait=15`
      if (sent?.reply === undefined) await sleep(500)
      else await Promise.all(Array.from({ length: 150 }, () => this.fetch(api, path, until)))
    })
  }

  private async search(api: Api, until: AbortSignal): Promise<void> {
    // The client is gone long before the answer is there.
    await this.parallel(30, until, () => this.fetch(api, "/search?q=no-such-word", AbortSignal.timeout(50)))
  }

  private async prompt(api: Api, until: AbortSignal): Promise<void> {
    for (const model of ["gemini-3-pro", "gemini-3-pro-image"]) await this.fetch(api, "/chatroom", until, { model })
    let turn = 0
    await this.parallel(4, until, () => {
      const room = this.rooms[2 + (turn++ % (this.rooms.length - 2))]
      return this.fetch(api, `/chatroom/${room}/message`, until, { content: "[[chunks 80 delay 100]] Slow." })
    })
  }

  private async leaveUnread(api: Api, until: AbortSignal): Promise<void> {
    const path = `/chatroom/${this.rooms[0]}/messages?limit=100`
    const head = `GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${this.person.token}\r\nx-forwarded-for: ${address["x-forwarded-for"]}\r\n\r\n`
    await this.hold(api, 60, head, until)
  }

  /** Without a token: a head that promises a body, and one byte of it. */
  private async sendSlowly(api: Api, until: AbortSignal): Promise<void> {
    const head = `POST /auth/send-otp HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 40\r\nx-forwarded-for: ${address["x-forwarded-for"]}\r\n\r\n{`
    await this.hold(api, 1_000, head, until)
  }

  /** Keeps so many connections open that read nothing; those that are closed are opened again. */
  private async hold(api: Api, count: number, text: string, until: AbortSignal): Promise<void> {
    const port = Number(new URL(api.url).port)
    const open = new Set<Socket>()
    while (!until.aborted) {
      while (open.size < count) {
        const socket = connect(port, "127.0.0.1", () => socket.write(text)).pause()
        open.add(socket)
        socket.on("error", () => {})
        socket.once("close", () => open.delete(socket))
      }
      await sleep(250)
    }
    for (const socket of open) socket.destroy()
  }
}

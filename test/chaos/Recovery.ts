import { setTimeout as sleep } from "node:timers/promises"
import { anyApi, type Api, other } from "./Experiment.ts"
import type { Shown } from "./Ledger.ts"
import { SimulatedUser } from "./SimulatedUser.ts"

/** Milliseconds after which a recovery is no longer watched; "settles" is the rule that fails then. */
const watchedMillis = 120_000

/** A user who asks one question after each disruption, and measures how long it takes until things work. */
export class Recovery extends SimulatedUser {
  private readonly watches = new Set<Promise<void>>()

  /**
   * Watches for the first good answer of each of these processes, and for the end of a reply whose question is asked
   * now. Times count from `since`: the beginning of a disruption, or its end where nothing can work before.
   */
  watch(disruption: string, apis: ReadonlyArray<Api>, since = Date.now()): void {
    const { ledger } = this.experiment
    const watch = Promise.all([
      ...apis.map((api) => this.firstAnswer(api).then((at) => ledger.recovered(disruption, "answer", at - since))),
      this.firstReply(apis[0] ?? anyApi(this.experiment, this.random)).then((at) =>
        ledger.recovered(disruption, "reply", at - since)
      )
    ]).then(() => void this.watches.delete(watch))
    this.watches.add(watch)
  }

  async finished(): Promise<void> {
    await Promise.all(this.watches)
  }

  /** Asks four times a second, without waiting for answers that hang. */
  private async firstAnswer(api: Api): Promise<number> {
    let goodAt = Infinity
    for (const deadline = Date.now() + watchedMillis; goodAt === Infinity && Date.now() < deadline; await sleep(250)) {
      void this.call(api, "GET", "/user/me").then(({ at, status }) => {
        if (status === 200) goodAt = Math.min(goodAt, at)
      })
    }
    return goodAt
  }

  private async firstReply(first: Api): Promise<number> {
    const deadline = Date.now() + watchedMillis
    const room = await this.openRoom(first)
    if (room === undefined) return Infinity
    this.rooms.push(room)
    const marker = this.nextMarker(room)
    const question = this.ask(room, `[[say ${marker} recovered0~]] [[chunks 2 delay 20]]`, marker)
    const sent = await this.submit(question, room, `/chatroom/${room.id}/message`, { content: question.prompt }, first)
    if (sent.status !== 202) return Infinity
    const path = `/chatroom/${room.id}/message/${sent.body.reply.id}?wait=2`
    for (let api = first; Date.now() < deadline; api = other(this.experiment, api)) {
      const { at, body, status } = await this.call<Shown>(api, "GET", path)
      if (status === 200 && ["completed", "failed"].includes(body.status)) return at
      await sleep(100)
    }
    return Infinity
  }
}

import { afterAll, assert, beforeAll, describe, it, vi } from "vitest"
import { Random } from "../chaos/Random.ts"
import type { Person, Reply } from "../support/Client.ts"
import { callsAbout, turnsOf } from "../support/geminiCalls.ts"
import { awaitEnd } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { type Node, RoomTree } from "./RoomTree.ts"

/** Random operations of all users together; `BRANCH_OPERATIONS=10000` is the long form. */
const operations = Number(process.env["BRANCH_OPERATIONS"] ?? 300)
const users = 4
const seed = Number(process.env["BRANCH_SEED"] ?? 1)
/** Exchanges that a prompt has, and messages that a page of the branch has. */
const [maximumExchanges, pageSize] = [200, 100]

vi.setConfig({ testTimeout: 120_000 + operations * 500, maxConcurrency: users })

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({
    BASIC_DAILY_PROMPTS: "1000000",
    BASIC_CONCURRENCY: "1000",
    AUTO_TITLES: "off",
    LOG_LEVEL: "none"
  })
})
afterAll(() => backends.stop())

interface Room {
  readonly id: string
  readonly tree: RoomTree
}

/** One user who does random things in some rooms, and compares each with the model. */
class Walker {
  private readonly rooms: Array<Room> = []
  private prompts = 0
  private readonly person: Person
  private readonly random: Random
  readonly done = new Map<string, number>()

  constructor(person: Person, random: Random) {
    this.person = person
    this.random = random
  }

  private call(method: string, path: string, body?: object): Promise<Reply> {
    return this.person.call(method, `/chatroom${path}`, body)
  }

  private prompt(): string {
    const name = `${this.person.userId.slice(-6)}-${this.prompts++}.`
    return this.random.chance(0.15) ? `[[blocked]] ${name}` : `[[say Answer ${name}]] ${name}`
  }

  async step(): Promise<void> {
    const room = this.rooms.length === 0 ? await this.newRoom() : this.random.pick(this.rooms)
    const operation = this.random.weighted([
      [8, "send"],
      [2, "burst"],
      [5, "edit"],
      [4, "regenerate"],
      [5, "move"],
      [1, "fork"],
      [1.5, "delete"],
      [0.4, "newRoom"]
    ] as const)
    this.done.set(operation, (this.done.get(operation) ?? 0) + 1)
    await this[operation](room)
    await this.compare(room)
    if (this.random.chance(0.1)) await this.compareAll(room)
  }

  async newRoom(): Promise<Room> {
    const room = { id: await this.person.room(), tree: new RoomTree() }
    this.rooms.push(room)
    if (this.rooms.length > 6) this.rooms.shift()
    return room
  }

  async send(room: Room): Promise<void> {
    const parent = room.tree.followed
    const content = this.prompt()
    await this.accepted(room, await this.call("POST", `/${room.id}/message`, { content }), content, parent)
  }

  /** Questions that are asked before the reply to the one before has ended: as if each was asked after it. */
  async burst(room: Room): Promise<void> {
    const contents = times(this.random.whole(2, 3), () => this.prompt())
    const sent = []
    for (const content of contents) sent.push(await this.call("POST", `/${room.id}/message`, { content }))
    for (const [index, answer] of sent.entries()) {
      assert.strictEqual(answer.status, 202, answer.text)
      await awaitEnd(this.person, answer)
      // Its parent in the answer was that of the moment; the model has what became of it.
      await this.addExchange(room, answer, contents[index] ?? "", room.tree.followed)
    }
  }

  async edit(room: Room): Promise<void> {
    const questions = room.tree.of("user")
    if (questions.length === 0) return
    const old = this.random.pick(questions)
    const content = this.prompt()
    const answer = await this.call("POST", `/${room.id}/message/${old.id}/edit`, { content })
    if (room.tree.versionsOf(old).length >= 50) {
      assert.strictEqual(answer.body.code, "too_many_branches")
      return
    }
    await this.accepted(room, answer, content, old.parent)
  }

  async regenerate(room: Room): Promise<void> {
    if (room.tree.all.length === 0) return
    const { id, parent, role } = this.random.pick(room.tree.all)
    const question = room.tree.get(role === "user" ? id : (parent ?? ""))
    const answer = await this.call("POST", `/${room.id}/message/${id}/regenerate`)
    assert.strictEqual(answer.status, 202, answer.text)
    assert.strictEqual(answer.body.message.id, question.id)
    await this.addReply(room, answer, question)
  }

  async move(room: Room): Promise<void> {
    if (room.tree.all.length === 0) return
    const { id } = this.random.pick(room.tree.all)
    const answer = await this.call("PATCH", `/${room.id}`, { headId: id })
    assert.strictEqual(answer.status, 200, answer.text)
    room.tree.head = room.tree.newestLeaf(id)
    assert.strictEqual(answer.body.headId, room.tree.head)
  }

  async fork(room: Room): Promise<void> {
    const { tree } = room
    const end = tree.all.length === 0 || this.random.chance(0.3) ? tree.head : this.random.pick(tree.all).id
    const answer = await this.call("POST", `/${room.id}/fork`, end === tree.head ? {} : { messageId: end })
    assert.strictEqual(answer.status, 201, answer.text)
    const path = tree.pathTo(end)
    const messages = await this.activeBranch(answer.body.id, path.length)
    const copy: Room = { id: answer.body.id, tree: new RoomTree() }
    for (const [index, { isCompleted, role, text }] of path.entries()) {
      const id = messages[index]?.id ?? ""
      copy.tree.add({ id, role, text, isCompleted, parent: messages[index - 1]?.id ?? null })
      if (index === path.length - 1) copy.tree.head = id
    }
    this.rooms.push(copy)
    if (this.rooms.length > 6) this.rooms.shift()
    await this.compare(copy)
    await this.compareAll(copy)
  }

  async delete(room: Room): Promise<void> {
    const questions = room.tree.of("user")
    if (questions.length === 0) return
    const { id } = this.random.pick(questions)
    const answer = await this.call("DELETE", `/${room.id}/message/${id}`)
    assert.strictEqual(answer.status, 204, answer.text)
    room.tree.remove(id)
  }

  private async accepted({ id, tree }: Room, answer: Reply, content: string, parent: string | null): Promise<void> {
    assert.strictEqual(answer.status, 202, answer.text)
    assert.strictEqual(answer.body.message.parentId, parent)
    const versions = tree.childrenOf(parent, "user").map((node) => node.id)
    const previous = versions.at(-1) ?? null
    const count = versions.length + 1
    assert.deepStrictEqual(answer.body.message.versions, { index: count, count, previous, next: null })
    await awaitEnd(this.person, answer)
    await this.addExchange({ id, tree }, answer, content, parent)
  }

  private async addExchange(room: Room, answer: Reply, content: string, parent: string | null): Promise<void> {
    const { id } = answer.body.message
    const question: Node = { id, role: "user", text: content, parent, isCompleted: true }
    room.tree.add(question)
    await this.addReply(room, answer, question)
  }

  /** Adds a reply that was accepted, and compares what the model received with the path to its question. */
  private async addReply({ tree }: Room, answer: Reply, question: Node): Promise<void> {
    const { body } = await awaitEnd(this.person, answer)
    const isCompleted = body.status === "completed"
    assert.strictEqual(isCompleted, !question.text.startsWith("[[blocked]]"), JSON.stringify(body.error))
    tree.add({ id: body.id, role: "model", text: body.content, parent: question.id, isCompleted })
    const turns = turnsOf(callsAbout(backends, question.text).at(-1))
    const path = tree.pathTo(question.id).slice(-2 * maximumExchanges - 1)
    assert.deepStrictEqual(
      turns,
      path.map(({ role, text }) => `${role}: ${text}`)
    )
    for (const [index, turn] of turns.entries()) assert.isTrue(turn.startsWith(index % 2 === 0 ? "user: " : "model: "))
  }

  /** The newest messages of the active branch, as many pages as they fill, oldest first. */
  private async activeBranch(
    room: string,
    length: number
  ): Promise<ReadonlyArray<{ id: string; role: string; content: string }>> {
    const found = []
    let path = `/${room}/messages?branch=active&limit=${pageSize}`
    while (path !== "" && found.length <= length) {
      const { body } = await this.call("GET", path)
      found.push(...body.data)
      path = body.nextCursor === null ? "" : `/${room}/messages?branch=active&limit=${pageSize}&cursor=${body.nextCursor}`
    }
    return found.toReversed()
  }

  private async compare({ id, tree }: Room): Promise<void> {
    const { body } = await this.call("GET", `/${id}`)
    assert.strictEqual(body.headId, tree.head)
    const path = tree.pathTo(tree.head)
    const found = await this.activeBranch(id, path.length)
    assert.deepStrictEqual(
      found.map((message) => [message.id, message.role, message.content]),
      path.map((node) => [node.id, node.role, node.text])
    )
  }

  /** Every message of the room, with its place in the tree. */
  private async compareAll({ id, tree }: Room): Promise<void> {
    const { body } = await this.call("GET", `/${id}/export?branch=all`)
    const expected = tree.all
      .toSorted((one, other) => (one.id < other.id ? -1 : 1))
      .map((node) => {
        const versions = tree.versionsOf(node)
        const index = versions.indexOf(node.id)
        return {
          id: node.id,
          content: node.text,
          parentId: node.parent,
          versions: {
            index: index + 1,
            count: versions.length,
            previous: versions[index - 1] ?? null,
            next: versions[index + 1] ?? null
          }
        }
      })
    assert.deepStrictEqual(
      body.messages.map(({ content, id, parentId, versions }: Record<string, unknown>) => ({ id, content, parentId, versions })),
      expected
    )
  }
}

describe("random sends, edits, regenerations, moves, copies and deletions", () => {
  it.concurrent.each(times(users, (index) => index))("agree with a tree in memory: user %i", async (index) => {
    const walker = new Walker(await backends.newUser(), new Random(seed * 1_000 + index))
    for (let count = 0; count < operations / users; count++) await walker.step()
    if (operations > 1_000) console.log(`user ${index}: ${JSON.stringify(Object.fromEntries(walker.done))}`)
  })
})

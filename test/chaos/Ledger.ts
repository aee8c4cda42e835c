import type { Incarnation } from "./Fleet.ts"

/** What must hold, whatever is killed when. */
export const rules = {
  "accepted-ends": "what was answered 202 has one question and one reply, and the reply has ended",
  "nothing-unfinished": "nothing is left held, queued, processing or waiting",
  "ends-once": "an ended reply is never changed or ended again",
  fence: "a reply's text is of the attempt that holds it, not of one that was overtaken",
  "whole-answer": "a completed reply is all of one answer of the model; a stopped one is the beginning of one",
  "refused-not-stored": "what was refused is not there",
  "key-once": "an idempotency key made one thing, and every answer to it names that thing",
  "told-is-kept": "an end, once told to a client, is what is stored",
  "stream-text": "the pieces of a stream add up to the stored text",
  "stream-place": "an event's id is the place that its reader has reached",
  "stream-ends": "every stream that is followed comes to its end",
  "quota-exact": "used today = accepted - refunded",
  "quota-limit": "nobody is over the limit",
  order: "the replies of a room are made in the order of its questions",
  "one-at-a-time": "a room's next reply begins when the one before has ended",
  "room-counter": "no room counts unfinished replies",
  "rooms-counter": "a user's count of rooms is the number of rooms",
  "list-fresh": "a list shows what was acknowledged two seconds before it was asked for",
  "list-final": "in the end the cached lists are what the database holds",
  "no-5xx": "no server error but 503",
  "no-401": "no token is refused",
  "expected-answer": "no other answer than the contract has for it",
  "answers-in-time": "every request is answered, or its connection breaks, in 30 s",
  "tables-empty": "the stream's tables are empty after a while",
  "jobs-free": "no job is left locked by the dead, or waits for nobody",
  exits: "processes end when they are told to, or because Postgres is gone",
  settles: "a minute or two later all is up and done"
} as const

export type Rule = keyof typeof rules

/** One question, or one wish for another reply, with every answer that a client got to it. */
export interface Question {
  readonly userId: string
  readonly roomId: string
  /** Empty for another reply to an old question. */
  readonly prompt: string
  readonly key: string | undefined
  readonly answers: Array<{
    readonly status: number
    readonly code?: string | undefined
    readonly questionId?: string
    readonly replyId?: string
  }>
}

/** 0 is a connection that broke, and 503 may be a commit whose answer was lost: either may have been done. */
export const isUnsure = ({ status }: { readonly status: number }) => status === 0 || status === 503

export const replyIdsOf = ({ answers }: Question) => new Set(answers.flatMap(({ replyId }) => replyId ?? []))
export const isRefused = ({ answers }: Question) => answers.every((answer) => !isUnsure(answer) && answer.status >= 400)

/** A message as a client was shown it. */
export interface Shown {
  readonly id: string
  readonly status: string
  readonly content: string
  readonly attempt: number
}

/** A change of a user's rooms that was acknowledged, and by which process. */
export interface Acknowledged {
  readonly what: string
  readonly at: number
  readonly by: Incarnation | undefined
}

/** A list that did not show a change. */
export interface Stale {
  readonly change: Acknowledged
  readonly askedAt: number
  readonly slot: string
  readonly cache: string
}

export interface Violation {
  readonly rule: Rule
  readonly detail: string
}

/** What everybody saw and did, to be compared with the database in the end. */
export class Ledger {
  readonly begunAt = Date.now()
  readonly figures = new Map<string, number>()
  readonly violations: Array<Violation> = []
  readonly deeds: Array<string> = []
  readonly questions: Array<Question> = []
  /** By key: the rooms that answers named. */
  readonly createdRooms = new Map<string, Set<string>>()
  readonly shown: Array<Shown & { readonly by: string }> = []
  readonly streamed: Array<{
    readonly replyId: string
    readonly text: string
    readonly resumes: number
    readonly terminal: string
  }> = []
  readonly stale: Array<Stale> = []

  count(figure: string, by = 1): void {
    this.figures.set(figure, (this.figures.get(figure) ?? 0) + by)
  }

  most(figure: string, value: number): void {
    this.figures.set(figure, Math.max(this.figures.get(figure) ?? 0, value))
  }

  violate(rule: Rule, detail: string): void {
    this.violations.push({ rule, detail: `${this.clock()} ${detail}` })
  }

  /** What was done to the fleet, and when. */
  deed(text: string): void {
    this.deeds.push(`${this.clock()} ${text}`)
  }

  show(message: Shown, by: string): void {
    if (["completed", "failed", "cancelled"].includes(message.status)) this.shown.push({ ...message, by })
  }

  private clock(): string {
    return `${((Date.now() - this.begunAt) / 1000).toFixed(1)}s`
  }
}

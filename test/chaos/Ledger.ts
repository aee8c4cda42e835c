import type { Beside } from "./Experiment.ts"
import type { Incarnation } from "./SupervisedProcess.ts"

/** What must hold, whichever process is killed at whatever time. */
export const rules = {
  "accepted-ends": "what was answered 202 has one question and one reply, and the reply has ended",
  "nothing-unfinished": "nothing is left held, queued, processing or waiting",
  "ends-once": "an ended reply is never changed or ended again",
  fence: "a reply's text is of the attempt that holds it, not of one that was overtaken",
  "whole-answer": "a completed reply is one whole answer of the model; a cancelled one is the beginning of one",
  "refused-not-stored": "a refused request has stored nothing",
  "key-once": "an idempotency key creates one resource, and every answer to it names that resource",
  "seen-is-stored": "an end that a client has seen is what is stored",
  "stream-text": "the pieces of a stream add up to the stored text",
  "stream-position": "an event's id is the position that its client has reached",
  "stream-ends": "every stream that is followed ends",
  "quota-exact": "used today = accepted - refunded",
  "quota-limit": "no user is over the limit",
  "money-exact": "nothing stays reserved, and a day costs what its calls cost",
  "ledger-billed":
    "every call that the model bills is in the ledger once, with what the model counted, unless its process is lost",
  order: "the replies of a room are made in the order of its questions",
  "one-at-a-time": "a room's next reply begins after the one before has ended",
  "room-counter": "no room counts unfinished replies",
  "rooms-counter": "a user's count of rooms is the number of rooms",
  "list-fresh": "a list shows every change acknowledged two seconds before the request",
  "list-final": "in the end the cached lists equal the database",
  "no-5xx": "no server error but 503",
  "no-401": "no valid token is refused",
  "expected-answer": "every answer is one that the contract allows",
  "answers-in-time": "every request is answered, or its connection breaks, in 30 s",
  "tables-empty": "the tables of running texts are empty in the end",
  "jobs-free": "no job stays locked by a dead worker, or waits for a reply that has ended",
  exits: "processes end on a signal alone",
  "honest-latency": "99 of 100 requests of honest users are answered in 5 s while hostile users attack",
  seamless: "no client sees an error while every process is restarted in turn behind the load balancer",
  "file-whole": "an acknowledged upload is kept, byte for byte",
  "event-kept": "an acknowledged webhook is stored once, and processed",
  settles: "two minutes later every process is up and every reply has ended"
} as const

export type Rule = keyof typeof rules

/** One question, or one request to regenerate a reply, with every answer that its client got. */
export interface Question {
  readonly userId: string
  readonly roomId: string
  /** Empty for a regeneration. */
  readonly prompt: string
  readonly key: string | undefined
  readonly answers: Array<{
    readonly status: number
    readonly code?: string | undefined
    readonly questionId?: string
    readonly replyId?: string
  }>
}

/** Whether the request may have been carried out: 0 is a broken connection, and a 503 may follow a commit. */
export const isUnsure = ({ status }: { readonly status: number }) => status === 0 || status === 503

export const replyIdsOf = ({ answers }: Question) => new Set(answers.flatMap(({ replyId }) => replyId ?? []))
export const isRefused = ({ answers }: Question) => answers.every((answer) => !isUnsure(answer) && answer.status >= 400)

/** A message as a client has seen it. */
export interface Shown {
  readonly id: string
  readonly status: string
  readonly content: string
  readonly attempt: number
}

/** An acknowledged change of a user's rooms, and the process that acknowledged it. */
export interface Acknowledged {
  readonly what: string
  readonly at: number
  readonly by: Incarnation | undefined
}

/** A list that lacks an acknowledged change. */
export interface Stale {
  readonly change: Acknowledged
  readonly askedAt: number
  readonly process: string
  readonly cache: string
  /** Milliseconds that its process had heard nothing from Postgres, or from anybody, when it was asked. */
  readonly silentFor: number | undefined
}

/** Milliseconds from a disruption to what was waited for after it. */
export interface RecoveryTimes {
  readonly answer: Array<number>
  readonly reply: Array<number>
}

/** A request that a client saw fail: a broken connection, or a server error. */
export interface Failure {
  readonly askedAt: number
  readonly at: number
  readonly what: string
}

export interface Violation {
  readonly rule: Rule
  readonly detail: string
}

/** All that the users did and saw, to be compared with the database in the end. */
export class Ledger {
  readonly begunAt = Date.now()
  readonly figures = new Map<string, number>()
  readonly violations: Array<Violation> = []
  readonly disruptions: Array<string> = []
  readonly failures: Array<Failure> = []
  readonly questions: Array<Question> = []
  /** By idempotency key, the rooms that answers named. */
  readonly createdRooms = new Map<string, Set<string>>()
  readonly shown: Array<Shown & { readonly by: string }> = []
  readonly streamed: Array<{
    readonly replyId: string
    readonly text: string
    readonly resumes: number
    readonly terminal: string
  }> = []
  readonly stale: Array<Stale> = []
  /** By kind of request, milliseconds of the answers to honest users beside hostile ones; infinite when refused. */
  readonly latencies = new Map<string, Array<number>>()
  /** By kind of disruption. */
  readonly recoveries = new Map<string, RecoveryTimes>()

  count(figure: string, by = 1): void {
    this.figures.set(figure, (this.figures.get(figure) ?? 0) + by)
  }

  most(figure: string, value: number): void {
    this.figures.set(figure, Math.max(this.figures.get(figure) ?? 0, value))
  }

  violate(rule: Rule, detail: string): void {
    this.violations.push({ rule, detail: `${this.clock()} ${detail}` })
  }

  /** Notes what was done to the processes, and when. */
  disruption(text: string): void {
    this.disruptions.push(`${this.clock()} ${text}`)
  }

  /** Notes an answer to an honest user, and beside whom it was asked for. */
  answered(beside: Beside, what: string, status: number, millis: number): void {
    const kind = `beside ${beside}: ${what}` as const
    const latencies = this.latencies.get(kind) ?? []
    this.latencies.set(kind, latencies)
    latencies.push(status === 0 || status === 503 ? Infinity : millis)
  }

  recovered(disruption: string, what: keyof RecoveryTimes, millis: number): void {
    const times = this.recoveries.get(disruption) ?? { answer: [], reply: [] }
    this.recoveries.set(disruption, times)
    times[what].push(millis)
  }

  show(message: Shown, by: string): void {
    if (["completed", "failed", "cancelled"].includes(message.status)) this.shown.push({ ...message, by })
  }

  private clock(): string {
    return `${((Date.now() - this.begunAt) / 1000).toFixed(1)}s`
  }
}

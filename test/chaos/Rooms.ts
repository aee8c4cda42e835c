import type { Acknowledged } from "./Ledger.ts"
import type { Answer } from "./Experiment.ts"

/** A room in an answer of GET /chatroom. */
export interface Listed {
  readonly id: string
  readonly title: string
  readonly lastMessageAt: string | null
}

/** A change, and whether a list shows it. */
interface Change extends Acknowledged {
  readonly isShown: (listed: Listed | undefined) => boolean
}

/**
 * A room as its owner knows it: the acknowledged changes, by which a stale list is recognised. A change without an
 * acknowledgement may or may not be made, now or later, so a list may show it or not.
 */
export class Room {
  readonly id: string
  readonly number: number
  /** Replies that can be cancelled, awaited and regenerated. */
  readonly replies: Array<string> = []
  /** One rename at a time, because otherwise the last one would be unknown. */
  isRenaming = false
  private version = 0
  private mayBeGone = false
  private readonly changes: Array<Change> = []
  private readonly unsureTitles = new Set<string>()

  constructor(id: string, number: number, created: Answer<unknown>) {
    this.id = id
    this.number = number
    this.add("created", created, (listed) => listed !== undefined || this.mayBeGone)
  }

  nextTitle(): string {
    return `room ${this.number} v${++this.version}`
  }

  renamed(title: string, answer: Answer<unknown>): void {
    const version = versionOf(title)
    if (answer.status !== 200) return void this.unsureTitles.add(title)
    this.add(
      title,
      answer,
      (listed) =>
        this.mayBeGone || (listed !== undefined && (versionOf(listed.title) >= version || this.unsureTitles.has(listed.title)))
    )
  }

  sentTo(sentAt: string, answer: Answer<unknown>): void {
    this.add(`message of ${sentAt}`, answer, (listed) => listed?.lastMessageAt != null && listed.lastMessageAt >= sentAt)
  }

  removing(): void {
    this.mayBeGone = true
  }

  removed(answer: Answer<unknown>): void {
    this.add("removed", answer, (listed) => listed === undefined)
  }

  /** Changes that were acknowledged before `askedAt` and that the list lacks. */
  missing(listed: Listed | undefined, askedAt: number): ReadonlyArray<Acknowledged> {
    return this.changes.filter((change) => change.at <= askedAt && !change.isShown(listed))
  }

  private add(what: string, { at, by }: Answer<unknown>, isShown: Change["isShown"]): void {
    this.changes.push({ what: `room ${this.number} ${what}`, at, by, isShown })
  }
}

const versionOf = (title: string): number => Number(/ v(\d+)$/.exec(title)?.[1] ?? 0)

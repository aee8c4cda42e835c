import type { Acknowledged } from "./Ledger.ts"
import type { Answer } from "./World.ts"

/** A room as a list shows it. */
export interface Listed {
  readonly id: string
  readonly title: string
  readonly lastMessageAt: string | null
}

/** A change, and how a list shows that it is known. */
interface Change extends Acknowledged {
  readonly isShown: (listed: Listed | undefined) => boolean
}

/**
 * A room as its owner knows it: which changes were acknowledged, so that a list can be told to be old. One that was
 * not acknowledged may have been made, and may still be: it excuses.
 */
export class Room {
  readonly id: string
  readonly number: number
  /** Replies known here, for cancelling, waiting and asking again. */
  readonly replies: Array<string> = []
  /** One rename at a time, else nobody could say which was the last. */
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

  /** Acknowledged changes that a list, asked for then, does not show. */
  missing(listed: Listed | undefined, askedAt: number): ReadonlyArray<Acknowledged> {
    return this.changes.filter((change) => change.at <= askedAt && !change.isShown(listed))
  }

  private add(what: string, { at, by }: Answer<unknown>, isShown: Change["isShown"]): void {
    this.changes.push({ what: `room ${this.number} ${what}`, at, by, isShown })
  }
}

const versionOf = (title: string): number => Number(/ v(\d+)$/.exec(title)?.[1] ?? 0)

/** Callers that are counted in a minute; refusals of further ones are not. */
const maximumCallers = 10_000

export interface MostRefused {
  readonly caller: string
  readonly refusals: number
}

/** Counts refused requests by their caller, so that the log can name one who floods. */
export class RefusalCounts {
  private readonly counts = new Map<string, number>()

  add(caller: string): void {
    const count = this.counts.get(caller)
    if (count !== undefined) this.counts.set(caller, count + 1)
    else if (this.counts.size < maximumCallers) this.counts.set(caller, 1)
  }

  /** The caller with the most refusals since the last call, which starts a new count. */
  take(): MostRefused | undefined {
    let most: MostRefused | undefined
    for (const [caller, refusals] of this.counts) {
      if (most === undefined || refusals > most.refusals) most = { caller, refusals }
    }
    this.counts.clear()
    return most
  }
}

/** Starts jobs in order, with limited concurrency. A job never rejects. */
export class Lane {
  private readonly width: number
  private waiting: Array<() => Promise<void>> = []
  private running = 0

  constructor(width: number) {
    this.width = width
  }

  push(job: () => Promise<void>) {
    this.waiting.push(job)
    this.next()
  }

  isIdle(): boolean {
    return this.running === 0 && this.waiting.length === 0
  }

  clear() {
    this.waiting = []
  }

  private next() {
    const job = this.running < this.width ? this.waiting.shift() : undefined
    if (!job) return
    this.running++
    void job().then(() => {
      this.running--
      this.next()
    })
    this.next()
  }
}

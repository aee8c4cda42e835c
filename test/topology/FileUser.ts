import { setTimeout as sleep } from "node:timers/promises"
import { expect } from "../chaos/Experiment.ts"
import { RoomUser } from "../chaos/RoomUser.ts"

/** A file whose upload was acknowledged. */
interface Kept {
  readonly id: string
  readonly text: string
}

/** A user who uploads files and reads them again. */
export class FileUser extends RoomUser {
  private readonly kept: Array<Kept> = []

  private async upload(): Promise<void> {
    const { experiment, number, random } = this
    const name = `file-${number}-${++this.counter}`
    const text = `${name} ${"0123456789abcdef".repeat(random.whole(10, 20_000))}`
    const answer = await this.repeatUntilSure<{ id: string }>(experiment.apis[0], (to) =>
      this.request(to, "POST", `/files?name=${name}.txt`, {
        bytes: new TextEncoder().encode(text),
        headers: { "content-type": "text/plain", "idempotency-key": name }
      })
    )
    expect(experiment, "upload", answer, [200, 201, "uploads_limited", "too_many_requests"])
    if (answer.status !== 200 && answer.status !== 201) return
    experiment.ledger.count("uploads")
    this.kept.push({ id: answer.body.id, text })
  }

  /** Compares a file with what was uploaded. */
  private async compare({ id, text }: Kept): Promise<void> {
    const answer = await this.request(this.experiment.apis[0], "GET", `/files/${id}/content`, {})
    expect(this.experiment, "download", answer, [200])
    if (answer.status !== 200) return
    this.experiment.ledger.count("downloads")
    if (answer.text !== text)
      this.experiment.ledger.violate("file-whole", `${id}: ${answer.text.length} characters instead of ${text.length}`)
  }

  async keepFiles(): Promise<void> {
    const { experiment, random } = this
    while (!experiment.isClosing) {
      await (this.kept.length === 0 || random.chance(0.4) ? this.upload() : this.compare(random.pick(this.kept)))
      await sleep(random.between(1_000, 3_000))
    }
  }

  /** Every acknowledged file is there. */
  async compareAll(): Promise<void> {
    for (const kept of this.kept) {
      const { status } = await this.request(this.experiment.apis[0], "GET", `/files/${kept.id}`, {})
      if (status !== 200) this.experiment.ledger.violate("file-whole", `${kept.id} is acknowledged, and the answer is ${status}`)
      await this.compare(kept)
    }
  }
}

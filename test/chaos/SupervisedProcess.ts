import { setTimeout as sleep } from "node:timers/promises"
import { type Settings, startProcess } from "../support/Backend.ts"
import { stablePort } from "./StablePort.ts"

type Process = Awaited<ReturnType<typeof startProcess>>

/** One start of a process, until its exit. */
export interface Incarnation {
  readonly process: string
  readonly number: number
  readonly startedAt: number
  readyAt: number | undefined
  /** The signal that was sent to end it. */
  signalled: { readonly signal: "SIGKILL" | "SIGTERM"; readonly at: number } | undefined
  suspended: boolean
  exit: { readonly code: number | null; readonly signal: string | null; readonly at: number } | undefined
  readonly output: () => string
}

/** A process with a fixed role and port, which is started again a second after it ends. */
export class SupervisedProcess {
  readonly name: string
  readonly role: "api" | "worker"
  readonly url: string
  readonly incarnations: Array<Incarnation> = []
  private readonly settings: Settings
  private process: Process | undefined
  private isDismissed = false

  constructor(name: string, role: "api" | "worker", port: number, settings: Settings) {
    this.name = name
    this.role = role
    this.url = `http://127.0.0.1:${port}`
    this.settings = { ...settings, ROLE: role, PORT: `${port}` }
    void this.supervise()
  }

  get current(): Incarnation | undefined {
    return this.incarnations.at(-1)
  }

  /** Whether it is ready, not suspended, and has not been signalled to end. */
  get isRunning(): boolean {
    const { current } = this
    return current?.readyAt !== undefined && current.exit === undefined && current.signalled === undefined && !current.suspended
  }

  end(signal: "SIGKILL" | "SIGTERM"): void {
    if (this.current !== undefined) this.current.signalled = { signal, at: Date.now() }
    void this.process?.kill(signal)
  }

  /** Suspends it for a while; the signal ends the suspension early. */
  async suspend(milliseconds: number, endEarly: AbortSignal): Promise<void> {
    const { current, process } = this
    if (current === undefined || process === undefined) return
    current.suspended = true
    void process.kill("SIGSTOP")
    await sleep(milliseconds, undefined, { signal: endEarly }).catch(() => {})
    void process.kill("SIGCONT")
    current.suspended = false
  }

  async dismiss(): Promise<void> {
    this.isDismissed = true
    void this.process?.kill("SIGCONT")
    await this.process?.kill("SIGKILL")
  }

  private async awaitReady(incarnation: Incarnation): Promise<void> {
    while (!/ready http|Working/.test(incarnation.output())) {
      if (incarnation.exit !== undefined) return
      await sleep(50)
    }
    incarnation.readyAt = Date.now()
  }

  private async supervise(): Promise<void> {
    for (let number = 1; !this.isDismissed; number++) {
      const process = (this.process = await startProcess(this.settings))
      const incarnation: Incarnation = {
        process: this.name,
        number,
        startedAt: Date.now(),
        readyAt: undefined,
        signalled: undefined,
        suspended: false,
        exit: undefined,
        output: process.output
      }
      this.incarnations.push(incarnation)
      void this.awaitReady(incarnation)
      // Kill the child also when this process exits early.
      const reap = () => void process.kill("SIGKILL")
      globalThis.process.once("exit", reap)
      const { code, signal } = await process.exited
      globalThis.process.off("exit", reap)
      incarnation.exit = { code, signal, at: Date.now() }
      await sleep(1_000)
    }
  }
}

/** Starts two api and two worker processes on one database. */
export const startProcesses = async (settings: Settings): Promise<Array<SupervisedProcess>> => {
  const processes: Array<SupervisedProcess> = []
  for (const [name, role] of [
    ["api-1", "api"],
    ["api-2", "api"],
    ["worker-1", "worker"],
    ["worker-2", "worker"]
  ] as const) {
    processes.push(new SupervisedProcess(name, role, await stablePort(), settings))
  }
  return processes
}

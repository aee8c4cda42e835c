import { setTimeout as sleep } from "node:timers/promises"
import { type Settings, startProcess } from "../support/Backend.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import type { Api } from "./Experiment.ts"
import { keyOf } from "./Model.ts"
import { stablePort } from "./StablePort.ts"

type Process = Awaited<ReturnType<typeof startProcess>>

/** Milliseconds after a silence in which what was held up may still arrive. */
const continuedMillis = 1_000

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

/** Where a process runs. */
export interface Host {
  readonly address: string
  /** The command that runs another command there; empty for this machine. */
  readonly prefix: ReadonlyArray<string>
}

const thisMachine: Host = { address: "127.0.0.1", prefix: [] }

export interface ProcessOptions {
  readonly name: string
  readonly role: "api" | "worker"
  readonly port: number
  readonly settings: Settings
  /** Carries connections to Postgres, which it can silence. */
  readonly proxy: TcpProxy
  readonly host?: Host
}

/** A process with a fixed role and port, which is started again a second after it ends. */
export class SupervisedProcess implements Api {
  readonly name: string
  readonly role: "api" | "worker"
  readonly url: string
  readonly incarnations: Array<Incarnation> = []
  private readonly settings: Settings
  private readonly proxy: TcpProxy
  private readonly host: Host
  /** Periods in which it was suspended or its connections to Postgres were silent. */
  private readonly silences: Array<{ readonly from: number; until: number }> = []
  private isSilent = false
  /** Seconds by which the clock of its next start is wrong. */
  private clockOffset = 0
  private process: Process | undefined
  private isDismissed = false

  constructor({ host = thisMachine, name, port, proxy, role, settings }: ProcessOptions) {
    this.name = name
    this.role = role
    this.host = host
    this.url = `http://${host.address}:${port}`
    this.proxy = proxy
    this.settings = { ...settings, HOST: host.address, ROLE: role, PORT: `${port}` }
    void this.supervise()
  }

  get current(): Incarnation | undefined {
    return this.incarnations.at(-1)
  }

  /** Whether it is ready, not suspended, and has not been signalled to end. */
  get isRunning(): boolean {
    const { current } = this
    const isAlive = current?.exit === undefined && current?.signalled === undefined
    return current?.readyAt !== undefined && isAlive && !current.suspended && !this.isSilent
  }

  /** It answers for itself. */
  senderOf(): SupervisedProcess {
    return this
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
    const silence = this.beginSilence()
    void process.kill("SIGSTOP")
    await sleep(milliseconds, undefined, { signal: endEarly }).catch(() => {})
    void process.kill("SIGCONT")
    current.suspended = false
    silence.until = Date.now() + continuedMillis
  }

  /** Makes its connections to Postgres silent for a while, without closing them; with `newOnes` also those it opens then. */
  silence(milliseconds: number, endEarly: AbortSignal, options: { readonly newOnes: boolean }): Promise<void> {
    const begin = () => this.proxy.freeze(options)
    return this.cutOff(milliseconds, endEarly, { begin, end: () => this.proxy.thaw() })
  }

  /** Cuts it off for a while, in a way that closes no connection. */
  async cutOff(
    milliseconds: number,
    endEarly: AbortSignal,
    { begin, end }: { readonly begin: () => void; readonly end: () => void }
  ): Promise<void> {
    this.isSilent = true
    const silence = this.beginSilence()
    begin()
    await sleep(milliseconds, undefined, { signal: endEarly }).catch(() => {})
    end()
    this.isSilent = false
    silence.until = Date.now() + continuedMillis
  }

  /** Milliseconds since its silence began, when a request was made in one; undefined when not. */
  silentFor(askedAt: number, answeredAt: number): number | undefined {
    const silence = this.silences.findLast(({ from, until }) => from <= answeredAt && until >= askedAt)
    return silence === undefined ? undefined : Math.max(0, askedAt - silence.from)
  }

  /** Kills it; its clock is wrong until it is killed again. */
  restartWithClock(offset: number): void {
    this.clockOffset = offset
    this.end("SIGKILL")
  }

  private beginSilence() {
    const silence = { from: Date.now(), until: Infinity }
    this.silences.push(silence)
    return silence
  }

  async dismiss(): Promise<void> {
    this.isDismissed = true
    void this.process?.kill("SIGCONT")
    await this.process?.kill("SIGKILL")
    await this.proxy.stop()
  }

  private start(): Promise<Process> {
    const offset = this.clockOffset
    this.clockOffset = 0
    const clock = offset === 0 ? [] : ["--import", "./test/chaos/wrongClock.ts"]
    const [command = process.execPath, ...args] = [...this.host.prefix, process.execPath, ...clock, "src/main.ts"]
    return startProcess({ ...this.settings, ...(offset === 0 ? {} : { CLOCK_OFFSET_SECONDS: `${offset}` }) }, { command, args })
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
      const process = (this.process = await this.start())
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
    const proxy = await TcpProxy.start(settings.DATABASE_URL)
    const own = { ...settings, DATABASE_URL: proxy.through(settings.DATABASE_URL), GEMINI_API_KEY: keyOf(name) }
    processes.push(new SupervisedProcess({ name, role, port: await stablePort(), settings: own, proxy }))
  }
  return processes
}

import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { connect } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import type { Host } from "../chaos/SupervisedProcess.ts"

const accepts = (address: string, port: number): Promise<boolean> =>
  new Promise((answer) => {
    const socket = connect({ host: address, port, timeout: 500 })
      .once("connect", () => answer(true))
      .once("timeout", () => answer(false))
      .once("error", () => answer(false))
      .once("close", () => answer(false))
    void once(socket, "connect").then(
      () => socket.destroy(),
      () => {}
    )
  })

export interface Program {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly port: number
}

/** A program of another project on a host, such as a proxy. It ends with this process. */
export class Daemon {
  private readonly host: Host
  private readonly program: Program
  private child: ChildProcess | undefined
  private output = ""

  constructor(host: Host, program: Program) {
    this.host = host
    this.program = program
    process.once("exit", () => this.child?.kill("SIGKILL"))
  }

  /** Starts it, and waits until it accepts connections. */
  async start(): Promise<void> {
    const { args, command, port } = this.program
    const [first = command, ...rest] = [...this.host.prefix, command, ...args]
    const child = (this.child = spawn(first, rest, { stdio: ["ignore", "pipe", "pipe"] }))
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk) => (this.output = (this.output + String(chunk)).slice(-4_000)))
    for (const deadline = Date.now() + 20_000; !(await accepts(this.host.address, port)); await sleep(20)) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${command} did not start: ${this.output}`)
    }
  }

  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const { child } = this
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, "exit")
    child.kill(signal)
    await exited
  }
}

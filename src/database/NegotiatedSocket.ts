import { Socket } from "node:net"
import { Duplex } from "node:stream"
import { connect as connectTls } from "node:tls"
import type { DatabaseEndpoint } from "../config/DatabaseUrl.ts"
import { sendTogether } from "./CorkedWrites.ts"
import { addressOf, type Done, socketOptions } from "./PlainSocket.ts"
import { Silence } from "./Silence.ts"

/** SSLRequest: https://www.postgresql.org/docs/current/protocol-message-formats.html */
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
const [accepted, declined] = Buffer.from("SN")

/**
 * A connection that asks the server for TLS first. To the driver it is a plain stream, so that both drivers encrypt
 * in the same way, and a silent connection is noticed under TLS as well.
 */
export class NegotiatedSocket extends Duplex {
  private readonly raw = new Socket(socketOptions)
  private readonly silence: Silence
  private readonly endpoint: DatabaseEndpoint
  private readonly onDeclined: () => void
  private readonly sendsTogether: boolean
  /** What carries the data, once it is agreed. */
  private carrier: Duplex | undefined
  private waitingWrite: (() => void) | undefined

  constructor(endpoint: DatabaseEndpoint, maximumSilenceMillis: number, sendsTogether: boolean, onDeclined: () => void) {
    super()
    this.sendsTogether = sendsTogether
    this.endpoint = endpoint
    this.onDeclined = onDeclined
    this.silence = new Silence(this, maximumSilenceMillis)
    this.follow(this.raw)
    this.raw.once("connect", () => {
      this.silence.asked()
      this.raw.write(sslRequest)
    })
    this.raw.once("data", (answer) => this.negotiate(Buffer.from(answer)))
    this.raw.connect(addressOf(endpoint))
  }

  connect(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  ref(): this {
    this.raw.ref()
    return this
  }
  unref(): this {
    this.raw.unref()
    return this
  }

  private follow(stream: Duplex): void {
    stream.on("error", (error) => this.destroy(error))
    stream.on("close", () => this.destroy())
  }

  private negotiate(answer: Buffer): void {
    this.silence.heard()
    // More than one byte would be data that was not encrypted, from whom is not known (CVE-2021-23222).
    if (answer.length === 1 && answer[0] === accepted) return this.encrypt()
    if (this.endpoint.tls === "required") {
      return void this.destroy(new Error("The server does not offer TLS, and sslmode requires it"))
    }
    if (answer.length === 1 && answer[0] === declined) this.onDeclined()
    // Any other answer is an error of the server, which the driver reads.
    else this.push(answer)
    this.carry(this.raw)
  }

  private encrypt(): void {
    const secure = connectTls({ host: this.endpoint.host, ...this.endpoint.handshake, socket: this.raw })
    this.follow(secure)
    secure.once("secureConnect", () => this.carry(secure))
  }

  private carry(stream: Duplex): void {
    this.carrier = this.sendsTogether ? sendTogether(stream) : stream
    stream.on("data", (chunk) => {
      this.silence.heard()
      if (!this.push(chunk)) stream.pause()
    })
    stream.on("end", () => this.push(null))
    this.waitingWrite?.()
    this.emit("connect")
  }

  override _read(): void {
    this.carrier?.resume()
  }

  override _write(chunk: unknown, encoding: BufferEncoding, done: Done): void {
    this.silence.asked()
    if (this.carrier === undefined) this.waitingWrite = () => void this.carrier?.write(chunk, encoding, done)
    else this.carrier.write(chunk, encoding, done)
  }

  override _final(done: Done): void {
    if (this.carrier === undefined) return done()
    this.carrier.end(() => done())
  }

  override _destroy(error: Error | null, done: Done): void {
    this.carrier?.destroy()
    this.raw.destroy()
    done(error)
  }
}

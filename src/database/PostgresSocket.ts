import { Socket } from "node:net"
import { Duplex } from "node:stream"
import { connect as connectTls } from "node:tls"
import type { DatabaseEndpoint } from "../config/DatabaseUrl.ts"

/** Milliseconds between two looks at the connections that wait for an answer. */
const lookMillis = 500
/** Milliseconds after which the kernel probes an idle connection. */
const keepAliveMillis = 10_000

/**
 * The time since a connection asked something and has heard nothing. A connection can go silent without closing (a
 * frozen proxy, a lost host, a NAT table without its state). Neither the kernel nor the drivers notice, and what waits
 * for an answer would wait for ever; so a silent connection is destroyed. One timer serves all of them.
 */
class Silence {
  private static readonly all = new Set<Silence>()
  private static timer: NodeJS.Timeout | undefined
  private askedAt: number | undefined
  private readonly maximumMillis: number
  private readonly socket: Duplex

  constructor(socket: Duplex, maximumMillis: number) {
    this.socket = socket
    this.maximumMillis = maximumMillis
    Silence.all.add(this)
    Silence.timer ??= setInterval(Silence.look, lookMillis).unref()
    socket.once("close", () => this.end())
  }

  asked(): void {
    this.askedAt ??= performance.now()
  }

  heard(): void {
    this.askedAt = undefined
  }

  private end(): void {
    Silence.all.delete(this)
    if (Silence.all.size > 0) return
    clearInterval(Silence.timer)
    Silence.timer = undefined
  }

  /** Milliseconds that the most silent of all connections has owed an answer. */
  static longest(): number {
    const now = performance.now()
    return Math.max(0, ...[...Silence.all].map(({ askedAt }) => (askedAt === undefined ? 0 : now - askedAt)))
  }

  private static look(): void {
    const now = performance.now()
    for (const { askedAt, maximumMillis, socket } of Silence.all) {
      if (askedAt === undefined || now - askedAt < maximumMillis) continue
      socket.destroy(new Error(`Postgres has not answered for ${Math.round(maximumMillis / 1_000)} seconds`))
    }
  }
}

/** Milliseconds that Postgres has owed an answer on the most silent connection of this process, whatever uses it. */
export const longestSilenceMillis = (): number => Silence.longest()

const addressOf = ({ host, port }: DatabaseEndpoint) =>
  host.startsWith("/")
    ? { path: `${host}/.s.PGSQL.${port}` }
    : { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMillis }

type Done = (error?: Error | null) => void

/**
 * Has a stream send what is written in one turn of the event loop at once. The statements of many requests are then one
 * packet, and one system call here and in Postgres.
 */
const sendTogether = <S extends Duplex>(stream: S): S => {
  const write = stream.write.bind(stream)
  let isCorked = false
  const uncork = () => {
    isCorked = false
    stream.uncork()
  }
  stream.write = (...args: [unknown, ...ReadonlyArray<unknown>]) => {
    if (!isCorked) {
      isCorked = true
      stream.cork()
      setImmediate(uncork)
    }
    return Reflect.apply(write, stream, args)
  }
  return stream
}

/** A connection without TLS. */
class PlainSocket extends Socket {
  private readonly silence: Silence

  constructor(endpoint: DatabaseEndpoint, maximumSilenceMillis: number) {
    super()
    this.silence = new Silence(this, maximumSilenceMillis)
    super.connect(addressOf(endpoint))
  }

  /** `pg` connects the socket that it is given; this one is connecting already. */
  override connect(): this {
    return this
  }

  override _write(chunk: unknown, encoding: BufferEncoding, done: Done): void {
    this.silence.asked()
    super._write(chunk, encoding, done)
  }

  override _writev(chunks: Array<{ chunk: unknown; encoding: BufferEncoding }>, done: Done): void {
    this.silence.asked()
    super._writev?.(chunks, done)
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    this.silence.heard()
    return super.push(chunk, encoding)
  }
}

/** SSLRequest: https://www.postgresql.org/docs/current/protocol-message-formats.html */
const sslRequest = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
const [accepted, declined] = Buffer.from("SN")

/**
 * A connection that asks the server for TLS first. To the driver it is a plain stream, so that both drivers encrypt
 * in the same way, and a silent connection is noticed under TLS as well.
 */
class NegotiatedSocket extends Duplex {
  private readonly raw = new Socket()
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

/**
 * Makes the sockets of one database, for both drivers: encrypted as its `sslmode` says, and destroyed when the server
 * is silent for `maximumSilenceMillis`, which must be more than the longest statement may take.
 */
export const postgresSockets = (
  endpoint: DatabaseEndpoint,
  maximumSilenceMillis: number,
  sendsTogether = false
): (() => Duplex) => {
  // Where TLS is only preferred, a server without it is not asked again until a connection breaks.
  let isPlain = endpoint.tls === "off"
  return () => {
    if (!isPlain) return new NegotiatedSocket(endpoint, maximumSilenceMillis, sendsTogether, () => void (isPlain = true))
    const socket = new PlainSocket(endpoint, maximumSilenceMillis)
    if (sendsTogether) sendTogether(socket)
    if (endpoint.tls !== "off") socket.once("error", () => void (isPlain = false))
    return socket
  }
}

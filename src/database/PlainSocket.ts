import { Socket } from "node:net"
import type { DatabaseEndpoint } from "../config/DatabaseUrl.ts"
import { Silence } from "./Silence.ts"

/** Milliseconds after which the kernel probes an idle connection. */
const keepAliveMillis = 10_000

/** Where a socket connects to. */
export const addressOf = ({ host, port }: DatabaseEndpoint) =>
  host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }

/**
 * A socket takes these when it is made, and ignores them when it connects. Without `noDelay` a small packet waits for the
 * acknowledgement of the one before, up to 40 ms.
 */
export const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMillis }

/** Called when a stream has taken what was written. */
export type Done = (error?: Error | null) => void

/** A connection without TLS. */
export class PlainSocket extends Socket {
  private readonly silence: Silence

  constructor(endpoint: DatabaseEndpoint, maximumSilenceMillis: number) {
    super(socketOptions)
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

import type { ServerResponse } from "node:http"
import { billOf } from "./Bill.ts"
import { faultError } from "./GoogleError.ts"
import type { GoogleError } from "./GoogleError.ts"
import { stampClock, toResponse } from "./Reply.ts"
import type { Chunk, ReplyContext, Sent } from "./Reply.ts"
import type { OpenEntry } from "./RequestLog.ts"
import type { BreakingFault } from "./Fault.ts"

/** A reply to play: its chunks, and the fault that follows them instead of a normal end. */
export interface Playback {
  readonly chunks: ReadonlyArray<Chunk>
  readonly chunkMillis: number
  readonly fault: BreakingFault | undefined
  readonly context: ReplyContext
}

const JSON_TYPE = "application/json; charset=UTF-8"

const HALF_JSON = '{"candidates": [{"content": {"parts": [{"te'

const BAD_GATEWAY =
  "<!DOCTYPE html>\n<html lang=en>\n<title>Error 502 (Server Error)!!1</title>\n" +
  "<p><b>502.</b> <ins>That’s an error.</ins>\n<p>The server encountered a temporary error.\n"

/** Writes one answer, updates its log entry, and stops at once when the client disconnects. */
export class Player {
  /** Whether the answer ended as planned, with or without a fault. */
  done = false
  readonly entry: OpenEntry
  readonly sse: boolean
  private readonly response: ServerResponse
  private timer: NodeJS.Timeout | undefined

  constructor(response: ServerResponse, entry: OpenEntry, sse: boolean) {
    this.response = response
    this.entry = entry
    this.sse = sse
  }

  after(millis: number, then: () => void) {
    if (millis > 0) this.timer = setTimeout(then, millis)
    else then()
  }

  stop() {
    clearTimeout(this.timer)
    this.done ||= this.response.writableFinished
  }

  json(body: object) {
    this.finish(200, JSON_TYPE, JSON.stringify(body))
  }

  refuse(error: GoogleError, inList = false) {
    this.finish(error.status, this.sse ? "text/event-stream" : JSON_TYPE, JSON.stringify(inList ? [error] : error))
  }

  badGateway() {
    this.finish(502, "text/html; charset=UTF-8", BAD_GATEWAY)
  }

  reset() {
    this.done = true
    this.response.socket?.resetAndDestroy()
  }

  play(playback: Playback) {
    if (this.sse) return this.playStream(playback)
    this.after(playback.chunkMillis * (playback.chunks.length - 1), () => this.playWhole(playback))
  }

  private finish(status: number, mediaType: string, body: string) {
    this.entry.status = status
    this.response.writeHead(status, { "content-type": mediaType, "content-length": Buffer.byteLength(body) })
    this.response.end(body)
  }

  private playStream({ chunkMillis, chunks, context, fault }: Playback) {
    const sent: Sent = { text: 0, thought: context.hiddenThoughts }
    const playFrom = (first: number) => {
      // Without a delay all chunks are sent at once, up to one that has its own.
      const pause = chunks.findIndex(({ pauseMillis }, index) => index > first && pauseMillis !== undefined)
      const next = chunkMillis > 0 ? Math.min(first + 1, chunks.length) : pause === -1 ? chunks.length : pause
      this.response.cork()
      for (let index = first; index < next; index++) {
        const chunk = chunks.slice(index, index + 1).map(stampClock)
        const response = toResponse(context, chunk, sent)
        this.response.write(toEvent(JSON.stringify(response)))
        this.note(chunk, response)
      }
      if (next < chunks.length) this.timer = setTimeout(playFrom, chunks[next]?.pauseMillis ?? chunkMillis, next)
      else if (fault) this.timer = setTimeout(() => this.breakStream(fault, context.model), Math.max(chunkMillis, 1))
      else this.response.end()
      this.response.uncork()
    }
    this.entry.status = 200
    this.response.writeHead(200, { "content-type": "text/event-stream" })
    if (chunks.length === 0) this.response.flushHeaders()
    playFrom(0)
  }

  private breakStream(fault: BreakingFault, model: string) {
    switch (fault.kind) {
      case "cut":
        return this.response.end()
      case "stall":
        return
      case "drop":
        this.done = true
        return this.response.destroy()
      case "garbage":
        return this.response.end(toEvent(HALF_JSON))
      case "truncate":
        return this.response.end(`data: ${HALF_JSON}`)
      case "error":
        return this.response.end(toEvent(JSON.stringify(faultError(model, fault.status ?? 503))))
    }
  }

  /** The answer to generateContent: the same faults, in a response that is not a stream. */
  private playWhole({ chunks: planned, context, fault }: Playback) {
    const chunks = planned.map(stampClock)
    switch (fault?.kind) {
      case "stall":
        return
      case "drop":
        return this.reset()
      case "garbage":
      case "truncate":
        return this.finish(200, JSON_TYPE, HALF_JSON)
      case "error":
        return this.refuse(faultError(context.model, fault.status ?? 503))
      default: {
        const response = toResponse(context, chunks, { text: 0, thought: context.hiddenThoughts })
        this.note(chunks, response)
        return this.json(response)
      }
    }
  }

  private note(chunks: ReadonlyArray<Chunk>, response: object) {
    this.entry.bill = billOf(response, this.entry.bill)
    this.entry.chunksSent += chunks.length
    for (const { text, thought } of chunks) if (!thought) this.entry.textSent += text
  }
}

const toEvent = (json: string) => `data: ${json}\r\n\r\n`

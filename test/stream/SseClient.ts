import http from "node:http"
import type { Person } from "../support/Client.ts"

export interface SseEvent {
  readonly name: string
  readonly id: string | undefined
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read the answer as it came over the wire
  readonly data: any
  /** The data with its `type`, as it was sent. */
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  readonly wire: any
  /** Its arrival, by `performance.now()`. */
  readonly at: number
  /** The text that the client has after this event. */
  readonly text: string
}

/** Parses `text/event-stream` as WHATWG's EventSource does, and builds the text as the contract says. */
export class SseParser {
  readonly events: Array<SseEvent> = []
  readonly comments: Array<string> = []
  readonly retries: Array<number> = []
  /** Lines that are not part of the format. */
  readonly strange: Array<string> = []
  text = ""
  /** The thoughts that the client has. */
  thoughts = ""
  lastId: string | undefined
  private rest = ""
  private fields = new Map<string, string>()
  private readonly decoder = new TextDecoder("utf-8", { fatal: true })

  /** `text` is what a client that resumes already has. */
  constructor(text = "") {
    this.text = text
  }

  feed(bytes: Uint8Array): void {
    const lines = (this.rest + this.decoder.decode(bytes, { stream: true })).split("\n")
    this.rest = lines.pop() ?? ""
    for (const line of lines) this.line(line.replace(/\r$/, ""))
  }

  private line(line: string): void {
    if (line === "") return this.dispatch()
    if (line.startsWith(":")) return void this.comments.push(line.slice(1).trim())
    const [, name, value] = /^(\w+): ?([^]*)$/.exec(line) ?? []
    if (name === undefined || value === undefined || !["id", "event", "data", "retry"].includes(name)) this.strange.push(line)
    else if (name === "retry") this.retries.push(Number(value))
    else this.fields.set(name, value)
  }

  private dispatch(): void {
    const { fields } = this
    this.fields = new Map()
    this.lastId = fields.get("id") ?? this.lastId
    const data = fields.get("data")
    if (data === undefined) return
    const name = fields.get("event") ?? "message"
    const { type, ...parsed } = JSON.parse(data)
    // The data repeats the name of the event.
    if (type !== name) this.strange.push(data)
    if (name === "delta") this.text += parsed.text
    if (name === "replace") this.text = parsed.text
    if (name === "thought") this.thoughts = this.thoughts.slice(0, parsed.offset) + parsed.text
    this.events.push({
      name,
      id: fields.get("id"),
      data: parsed,
      wire: { type, ...parsed },
      at: performance.now(),
      text: this.text
    })
  }
}

export const terminals = ["completed", "failed", "cancelled"]
export const isTerminal = ({ name }: SseEvent) => terminals.includes(name)

export interface SseStream {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  /** The body of an answer that is not a stream. */
  // oxlint-disable-next-line typescript/no-explicit-any -- tests read the answer as it came over the wire
  readonly problem: any
  readonly parser: SseParser
  readonly events: ReadonlyArray<SseEvent>
  /** The text that the client has now. */
  readonly text: () => string
  /** `end` when the server ended the response, `cut` when the connection broke or the client left. */
  readonly closed: Promise<"end" | "cut">
  /** The first event that fits, past or future; undefined when the stream closes without one. */
  readonly first: (fits: (event: SseEvent) => boolean) => Promise<SseEvent | undefined>
  /** Reads nothing more from the socket until `resume`. */
  readonly pause: () => void
  readonly resume: () => void
  /** Closes the connection without ending the request. */
  readonly leave: () => void
}

export interface Place {
  readonly room: string
  readonly reply: string
}

/** The ids in the answer to an accepted message. */
export const placeOf = (sent: {
  readonly body: { readonly reply: { readonly chatroomId: string; readonly id: string } }
}): Place => ({
  room: sent.body.reply.chatroomId,
  reply: sent.body.reply.id
})

/** A proxy in between answers in a format of its own. */
const problemOf = (headers: http.IncomingHttpHeaders, body: string) =>
  body === "" ? undefined : headers["content-type"]?.includes("json") === true ? JSON.parse(body) : { body }

/** Opens the stream of a reply and reads it until it is paused, left or at its end. */
export const openStream = (
  base: string,
  person: Pick<Person, "token">,
  place: Place,
  from: { readonly lastEventId?: string; readonly after?: string; readonly having?: string } = {}
): Promise<SseStream> => {
  const query = from.after === undefined ? "" : `?after=${encodeURIComponent(from.after)}`
  return new Promise((resolve, reject) => {
    const request = http.get(
      `${base}/chatroom/${place.room}/message/${place.reply}/stream${query}`,
      {
        agent: false,
        headers: {
          authorization: `Bearer ${person.token}`,
          accept: "text/event-stream",
          ...(from.lastEventId === undefined ? {} : { "last-event-id": from.lastEventId })
        }
      },
      (response) => {
        const parser = new SseParser(from.having)
        const isStream = response.headers["content-type"] === "text/event-stream"
        const watchers = new Set<() => void>()
        const body: Array<Buffer> = []
        let open = true
        const closed = new Promise<"end" | "cut">((done) => {
          response.once("close", () => {
            open = false
            done(response.complete ? "end" : "cut")
            for (const look of watchers) look()
          })
        })
        response.on("error", () => {})
        response.on("data", (bytes: Buffer) => {
          if (!isStream) return void body.push(bytes)
          parser.feed(bytes)
          for (const look of watchers) look()
        })
        const first: SseStream["first"] = (fits) =>
          new Promise((found) => {
            const look = () => {
              const event = parser.events.find(fits)
              if (event === undefined && open) return
              watchers.delete(look)
              found(event)
            }
            watchers.add(look)
            look()
          })
        const make = (problem: unknown) =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            problem,
            parser,
            events: parser.events,
            text: () => parser.text,
            closed,
            first,
            pause: () => response.pause(),
            resume: () => response.resume(),
            leave: () => request.destroy()
          })
        if (isStream) make(undefined)
        else response.once("end", () => make(problemOf(response.headers, Buffer.concat(body).toString())))
      }
    )
    request.once("error", reject)
  })
}

/** Reads a stream to its end. */
export const readAll = async (...args: Parameters<typeof openStream>): Promise<SseStream> => {
  const stream = await openStream(...args)
  await stream.closed
  return stream
}

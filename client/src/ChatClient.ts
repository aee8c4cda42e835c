import type { Exchange, Login, Message, Operations, SendMessage } from "./contract.ts"
import type * as contract from "./contract.ts"
import { Problem } from "./Problem.ts"
import { ReplyStream, type StreamOptions } from "./ReplyStream.ts"
import { type RequestParts, Requests } from "./Requests.ts"
import { defaultRetries, type Retries } from "./retry.ts"
import { memoryStore, type TokenStore } from "./Session.ts"
import { type Operation, readBody } from "./transport.ts"

export interface ClientOptions {
  /** Where the API is, for example `https://chat.example.com`. */
  readonly baseUrl: string
  /** An API key instead of a login. */
  readonly apiKey?: string | undefined
  /** Where the tokens of a login are kept; by default in memory. */
  readonly tokens?: TokenStore | undefined
  /** Lets the server keep the refresh token in a cookie: for pages of the API's own origin. */
  readonly cookie?: boolean | undefined
  /** The session has ended: it was revoked, or its refresh token is not valid any more. */
  readonly onSessionEnd?: ((problem: Problem) => void) | undefined
  readonly retries?: Partial<Retries> | undefined
  /** Milliseconds for a request and its response, per attempt: 60 seconds by default, ten minutes for an upload. Streams have no end. */
  readonly timeout?: number | undefined
  readonly fetch?: typeof fetch | undefined
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  readonly headers?: Readonly<Record<string, string | undefined>> | undefined
  /** Made by the client where the operation takes one and the caller gives none. */
  readonly idempotencyKey?: string | undefined
  readonly timeout?: number | undefined
}

/** Whether the server answers the operation in JSON, or with nothing. */
export type JsonOperation = { [O in Operation]: Operations[O]["response"] extends Response ? never : O }[Operation]

/** What a request of an operation takes. */
export type RequestOf<O extends Operation> = Omit<Operations[O], "response"> & CallOptions
export type ResponseOf<O extends Operation> = Operations[O]["response"]

/** The arguments after the operation: the request may be left out when all of it is optional. */
type Arguments<O extends Operation> = {} extends RequestOf<O> ? [request?: RequestOf<O>] : [request: RequestOf<O>]

interface Page {
  readonly data: ReadonlyArray<unknown>
  readonly nextCursor: string | null
}
/** Operations that answer with a page of a list. */
export type PagedOperation = { [O in Operation]: Operations[O]["response"] extends Page ? O : never }[Operation]
export type ItemOf<O extends PagedOperation> = ResponseOf<O>["data"][number]

export type TicketOperation = Extract<Operation, `POST ${string}-ticket`>

/** A reply, or its address. */
export type ReplyAddress = Pick<Message, "chatroomId" | "id">

type Code = Omit<contract.VerifyOtp, "purpose">

const attemptMillis = 60_000
const uploadMillis = 600_000
const asItIs = (response: Response): Response => response

/**
 * A client of the API. It logs in and keeps the session alive, repeats what may be repeated, reads streams over lost
 * connections, and throws refusals as `Problem` and the lack of a response as `Unreachable`.
 */
export class ChatClient {
  readonly baseUrl: string
  private readonly requests: Requests
  private readonly isInCookie: boolean

  constructor({ apiKey, baseUrl, cookie = false, fetch, onSessionEnd, retries, timeout, tokens }: ClientOptions) {
    this.baseUrl = baseUrl.replace(/\/+$/, "")
    this.isInCookie = cookie
    this.requests = new Requests({
      baseUrl: this.baseUrl,
      apiKey,
      tokens: tokens ?? memoryStore(),
      isInCookie: cookie,
      onSessionEnd,
      retries: { ...defaultRetries, ...retries },
      timeout: timeout ?? attemptMillis,
      fetch
    })
  }

  /** Calls an operation: `call("GET /chatroom/:id", { params: { id } })`. Returns its JSON, or undefined for a 204. */
  async call<O extends JsonOperation>(operation: O, ...[request]: Arguments<O>): Promise<ResponseOf<O>> {
    const parts: RequestParts = request ?? {}
    // The server sends what its contract says.
    return (await this.requests.send(operation, parts, readBody)) as ResponseOf<O>
  }

  /** Calls an operation and returns the response as it came, for text, bytes and headers. Its body has no time limit. */
  request<O extends Operation>(operation: O, ...[request]: Arguments<O>): Promise<Response> {
    const parts: RequestParts = request ?? {}
    return this.requests.send(operation, parts, asItIs)
  }

  /** The pages of a list. */
  async *pages<O extends PagedOperation>(operation: O, ...[request]: Arguments<O>): AsyncGenerator<ResponseOf<O>, void> {
    const { query, ...parts }: RequestParts = request ?? {}
    let from = query
    for (;;) {
      const page = (await this.requests.send(operation, { ...parts, query: from }, readBody)) as ResponseOf<O>
      yield page
      const { nextCursor } = page
      if (nextCursor === null) return
      from = { ...query, cursor: nextCursor }
    }
  }

  /** The items of a list, over its pages. */
  async *items<O extends PagedOperation>(operation: O, ...request: Arguments<O>): AsyncGenerator<ItemOf<O>, void> {
    for await (const { data } of this.pages(operation, ...request)) yield* data as ReadonlyArray<ItemOf<O>>
  }

  /** Sends a one-time code to a mobile number. */
  sendCode(mobile: string, options: CallOptions = {}): Promise<contract.OtpChallenge> {
    return this.call("POST /auth/send-otp", { ...options, body: { mobile } })
  }

  /** Logs in with a one-time code, or with a password, and keeps the tokens. */
  async logIn(secret: Code | contract.PasswordLogin, options: CallOptions = {}): Promise<Login> {
    const operation = "otp" in secret ? "POST /auth/verify-otp" : "POST /auth/login"
    const parts = { ...options, headers: { ...this.requests.cookieHeader, ...options.headers }, body: secret }
    const login = (await this.requests.send(operation, parts, readBody)) as Login
    await this.requests.session.keep(login)
    return login
  }

  /** Ends this session, the others, or all. */
  async logOut(scope: "local" | "others" | "global" = "local", options: CallOptions = {}): Promise<void> {
    const headers = { ...this.requests.cookieHeader, ...options.headers }
    await this.call("POST /auth/logout", { ...options, headers, body: { scope } })
    if (scope !== "others") await this.requests.session.forget()
  }

  /** Continues a session from before: the one whose tokens are stored, or the one of the cookie. */
  async restore(signal?: AbortSignal): Promise<boolean> {
    const { session } = this.requests
    try {
      if ((await session.token(signal)) !== undefined) return true
      if (!this.isInCookie) return false
      await session.renew(undefined, signal)
      return true
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return false
      throw error
    }
  }

  /** Asks a question. Returns at once, or after at most `wait` seconds with the reply if it has ended by then. */
  ask(
    chatroomId: string,
    question: string | SendMessage,
    options: CallOptions & { readonly wait?: number | undefined } = {}
  ): Promise<Exchange> {
    const { wait, ...rest } = options
    const body = typeof question === "string" ? { content: question } : question
    return this.call("POST /chatroom/:id/message", { ...rest, params: { id: chatroomId }, query: { wait }, body })
  }

  /** Follows a reply to its end, over lost connections. */
  stream(reply: ReplyAddress, options: StreamOptions = {}): ReplyStream {
    const params = { id: reply.chatroomId, mid: reply.id }
    const open = (position: string | undefined, signal: AbortSignal): Promise<Response> => {
      if (options.ticket === true) return this.openWithTicket(reply, position, signal)
      const parts = { params, headers: { "last-event-id": position }, signal }
      return this.requests.once("GET /chatroom/:id/message/:mid/stream", parts, asItIs)
    }
    const read = (signal: AbortSignal) => this.call("GET /chatroom/:id/message/:mid", { params, signal })
    return new ReplyStream({ open, read }, options)
  }

  /** The URL that a ticket opens: for `EventSource`, and for a download that a link starts. */
  async ticketUrl<O extends TicketOperation>(operation: O, ...request: Arguments<O>): Promise<string> {
    const { url } = await this.call(operation, ...request)
    return this.baseUrl + url
  }

  /** Uploads a file. Its type is the file's own, unless another is given; the server compares it with the bytes. */
  upload(
    file: Blob | Uint8Array<ArrayBuffer> | ArrayBuffer,
    options: CallOptions & { readonly name?: string | undefined; readonly type?: string | undefined } = {}
  ): Promise<contract.File> {
    const { idempotencyKey, name, signal, timeout = uploadMillis } = options
    const own = file instanceof Blob && file.type !== "" ? file.type : undefined
    const ownName = "name" in file && typeof file.name === "string" ? file.name : undefined
    const headers = { ...options.headers, "content-type": options.type ?? own ?? "application/octet-stream" }
    const parts = { query: { name: name ?? ownName }, headers, file, signal, timeout, idempotencyKey }
    return this.requests.send("POST /files", parts, readBody) as Promise<contract.File>
  }

  private async openWithTicket(reply: ReplyAddress, position: string | undefined, signal: AbortSignal): Promise<Response> {
    const params = { id: reply.chatroomId, mid: reply.id }
    const { url } = await this.call("POST /chatroom/:id/message/:mid/stream-ticket", { params, signal })
    const path = position === undefined ? url : `${url}&after=${encodeURIComponent(position)}`
    return this.requests.fetch(path, { method: "GET" }, { signal }, asItIs)
  }
}

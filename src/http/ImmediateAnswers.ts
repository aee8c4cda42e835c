import type { IncomingHttpHeaders } from "node:http"
import { Context, Effect, Layer } from "effect"
import { AppConfig } from "../config/Settings.ts"

/** A GET or HEAD request without a body, with one Host and a path that only one route has. */
export interface ImmediateRequest {
  /** Path and query, without `API_PREFIX`. */
  readonly url: string
  /** What follows the first `?`; empty without one. */
  readonly query: string
  readonly headers: IncomingHttpHeaders
}

/** A response without the headers that every response gets. */
export interface ImmediateAnswer {
  readonly status: number
  /** The names are in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: ImmediateBody | undefined
}

interface ImmediateBody {
  readonly bytes: Uint8Array
  readonly contentType: string
  /** The bytes as gzip, where they are kept. */
  readonly gzipped: Uint8Array | undefined
}

const encoder = new TextEncoder()

/** 200 with a value that is its own encoding. */
export const jsonAnswer = (value: object): ImmediateAnswer => ({
  status: 200,
  headers: {},
  body: { bytes: encoder.encode(JSON.stringify(value)), contentType: "application/json", gzipped: undefined }
})

/**
 * Answers from what the process holds in memory, or with one short read that may be repeated; undefined when the request has
 * to take the usual way. A request whose read fails, or takes long, takes it too.
 */
type Answer = (request: ImmediateRequest) => ImmediateAnswer | Effect.Effect<ImmediateAnswer> | undefined

/**
 * Answers that need no route: the server asks for one before it routes a request. It must be the one that the route's
 * handler would give, for the same caller and at the same time.
 */
export class ImmediateAnswers extends Context.Service<
  ImmediateAnswers,
  {
    /** Registers the answers to GET and HEAD of a path without parameters. */
    readonly add: (path: string, answer: Answer) => void
    readonly find: (path: string) => Answer | undefined
  }
>()("chat-backend/http/ImmediateAnswers") {
  static readonly layer = Layer.effect(
    ImmediateAnswers,
    Effect.map(AppConfig, ({ tracing }) => {
      const answers = new Map<string, Answer>()
      return ImmediateAnswers.of({
        add: (path, answer) => void answers.set(path, answer),
        // Where traces are collected, every request has a span, which only the usual way makes.
        find: (path) => (tracing === undefined ? answers.get(path) : undefined)
      })
    })
  )
}

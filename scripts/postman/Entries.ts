import type { variables } from "./Variables.ts"

type Values = Readonly<Record<string, string>>

export interface Details {
  /** Shown before the document's own description. */
  readonly about?: string | undefined
  /** Path parameters; by default `id` is the current chatroom and `mid` the current reply. */
  readonly path?: Values | undefined
  readonly query?: Values | undefined
  readonly headers?: Values | undefined
  /** An object is sent as JSON, a text as it is; by default the operation's example is sent. */
  readonly body?: object | string | undefined
  /** A file of `postman/` that is sent as it is, and its media type. */
  readonly file?: { readonly src: string; readonly type: string } | undefined
  /** The variable with the access token; by default the one that the operation's security asks for. */
  readonly as?: keyof typeof variables | "none" | undefined
  /** Variables to keep for later requests: a path into the body, or the name of a header. */
  readonly save?: { readonly [name in keyof typeof variables]?: string } | undefined
  /** The media type of the response where the document has several. */
  readonly media?: string | undefined
  /** The request is repeated until its body has these values. */
  readonly until?: Readonly<Record<string, string | number>> | undefined
  /** Files of `scripts/` that run before and after the request, and a variable that they read. */
  readonly before?: string | undefined
  readonly after?: string | undefined
  readonly set?: Values | undefined
}

export interface Request {
  readonly name: string
  /** An `operationId` of openapi.json, or the method and path of a request that it does not have. */
  readonly operation: string
  /** A status as text, or a status and the problem's code. */
  readonly expected: ReadonlyArray<string>
  readonly details: Details
}

type Expected = number | `${number} ${string}`

/** A request, what it is to be answered with, and where it differs from the document's example. */
export const call = (
  name: string,
  operation: string,
  expected: Expected | ReadonlyArray<Expected>,
  details: Details = {}
): Request => ({
  name,
  operation,
  expected: [expected].flat().map(String),
  details
})

export interface Folder {
  readonly name: string
  readonly about: string
  /** A file of `scripts/` that runs before each of the folder's requests. */
  readonly before?: string | undefined
  readonly requests: ReadonlyArray<Request | Folder>
}

export const isFolder = (entry: Request | Folder): entry is Folder => "requests" in entry

/** All requests, in the runner's order. */
export const requestsOf = (entries: ReadonlyArray<Request | Folder>): ReadonlyArray<Request> =>
  entries.flatMap((entry) => (isFolder(entry) ? requestsOf(entry.requests) : [entry]))

export const folder = (name: string, about: string, requests: Folder["requests"]): Folder => ({ name, about, requests })

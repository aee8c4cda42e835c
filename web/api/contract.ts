import type { Operations } from "../../client/src/contract.ts"

/** `GET /chatroom/:id` and so on: every operation that users have. */
export type Operation = keyof Operations

/** What a request of an operation takes. */
export type RequestOf<O extends Operation> = Omit<Operations[O], "response">

/** The JSON of an operation's success. */
export type ResponseOf<O extends Operation> = Operations[O]["response"]

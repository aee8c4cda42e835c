import { Context } from "effect"

/** The id of the current request. */
export const RequestId = Context.Reference<string>("chat-backend/server/RequestId", { defaultValue: () => "-" })

/** The client's own id when it is valid, otherwise a new one. */
export const requestIdFrom = (header: string | undefined): string =>
  header !== undefined && /^[\w-]{1,64}$/.test(header) ? header : crypto.randomUUID()

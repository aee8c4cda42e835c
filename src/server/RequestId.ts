import { Context } from "effect"

/** The id of the request being answered: the client's own when it is a sound one. */
export const RequestId = Context.Reference<string>("chat-backend/server/RequestId", { defaultValue: () => "-" })

export const requestIdFrom = (header: string | undefined): string =>
  header !== undefined && /^[\w-]{1,64}$/.test(header) ? header : crypto.randomUUID()

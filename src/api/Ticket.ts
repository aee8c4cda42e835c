import { Context, Schema } from "effect"
import { ids } from "./Examples.ts"
import { Timestamp } from "./Schemas.ts"

/** How often a ticket opens its endpoint: a download once; a stream again for the reconnects of one reader. */
export type TicketUse = "download" | "stream"

/** Whether a request without an access token may carry a ticket for the endpoint, and how often. */
export const AcceptsTicket = Context.Reference<TicketUse | undefined>("chat-backend/api/AcceptsTicket", {
  defaultValue: () => undefined
})

const ticket = "YWRhLnNlc3Npb24udGlja2V0.c2lnbmVkIGJ5IG5vYm9keQ"

/** The query parameter of endpoints that accept a ticket. */
export const withTicket = {
  ticket: Schema.optionalKey(
    Schema.String.annotate({
      description: "Instead of the access token, for clients that cannot send headers.",
      examples: [ticket]
    })
  )
}

export const Ticket = Schema.Struct({
  ticket: Schema.String.annotate({ description: "For `?ticket=` of this one path." }),
  expiresAt: Timestamp.annotate({ description: "Until when the ticket can be used for the first time." }),
  url: Schema.String.annotate({
    description: "The path with the ticket. Further parameters can be appended with `&`.",
    format: "uri-reference"
  })
}).annotate({
  identifier: "Ticket",
  description: "A ticket for one request that cannot send headers.",
  examples: [
    {
      ticket,
      expiresAt: "2026-11-21T09:33:00.000Z",
      url: `/chatroom/${ids.room}/message/${ids.reply}/stream?ticket=${ticket}`
    }
  ]
})

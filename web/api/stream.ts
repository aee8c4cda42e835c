import type { ReplyEvent } from "../../client/src/contract.ts"
import { ReplyStream, type StreamSource } from "../../client/src/ReplyStream.ts"
import { call, withSession } from "./client.ts"
import { addAnswer } from "./exchanges.ts"
import { Problem } from "./problem.ts"
import { exchange, readAnswer } from "./transport.ts"

interface Reply {
  readonly chatroomId: string
  readonly id: string
}

export interface StreamHandlers {
  readonly onEvent: (event: ReplyEvent) => void
  /** The connection was lost; another try follows. */
  readonly onLost: () => void
  /** It goes on where it was lost. */
  readonly onResumed: () => void
  /** The server has nothing more to send. */
  readonly onEnd: () => void
  readonly onRefused: (problem: Problem) => void
}

/** The same response, whose text is also added to its exchange. */
const recorded = (number: number, response: Response): Response => {
  if (response.body === null) return response
  const decoder = new TextDecoder()
  const record = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
    transform: (bytes, controller) => {
      addAnswer(number, decoder.decode(bytes, { stream: true }))
      controller.enqueue(bytes)
    }
  })
  return new Response(response.body.pipeThrough(record), response)
}

const sourceOf = ({ chatroomId, id }: Reply): StreamSource => {
  const params = { id: chatroomId, mid: id }
  return {
    open: (position, signal) =>
      withSession(async () => {
        const parts = { params, headers: { "last-event-id": position }, signal }
        const { number, response } = await exchange("GET /chatroom/:id/message/:mid/stream", parts)
        if (!response.ok) await readAnswer(number, response)
        return recorded(number, response)
      }),
    read: (signal) => call("GET /chatroom/:id/message/:mid", { params, signal })
  }
}

/** Follows a reply to its end, over lost connections, for as long as the page is open. */
export const follow = async (reply: Reply, handlers: StreamHandlers, signal: AbortSignal): Promise<void> => {
  let isLost = false
  const onLost = () => {
    if (!isLost) handlers.onLost()
    isLost = true
  }
  try {
    for await (const event of new ReplyStream(sourceOf(reply), { signal, onLost, reconnects: Infinity })) {
      if (isLost) handlers.onResumed()
      isLost = false
      handlers.onEvent(event)
    }
    handlers.onEnd()
  } catch (error) {
    if (signal.aborted) return
    if (!(error instanceof Problem)) throw error
    handlers.onRefused(error)
  }
}

import http from "node:http"
import type { AddressInfo } from "node:net"
import { startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { markerIn, placeholder } from "./Prompts.ts"

/** One call of the model. */
export interface Call {
  readonly marker: string
  /** Tells the calls for one question apart; every word that the call writes contains it. */
  readonly letter: string
  readonly at: number
  /** The process that made it, by its key. */
  readonly caller: string
  /** When the first piece of an answer was passed on. */
  firstAt: number | undefined
  /** The simulator's number, once it has begun to answer. */
  number: number | undefined
  endedAt: number | undefined
  /** Whether the caller disconnected before the end. */
  aborted: boolean
}

const letters = "abcdefghijklmnopqrstuvwxyz"

/** The key with which a process of this name calls the model. */
export const keyOf = (process: string) => `key-of-${process}`

/** The number of the call in one of its responses. */
const numberIn = (chunk: Buffer): number | undefined => {
  const number = /"responseId":"simulated-(\d+)"/.exec(chunk.toString("latin1"))?.[1]
  return number === undefined ? undefined : Number(number)
}

const lastTurn = (body: string): string => {
  const { contents } = JSON.parse(body) as { contents?: ReadonlyArray<{ parts?: ReadonlyArray<{ text?: string }> }> }
  return (
    contents
      ?.at(-1)
      ?.parts?.map(({ text }) => text ?? "")
      .join("") ?? ""
  )
}

/** Replaces placeholders by the call's letter, byte for byte, so it works wherever chunks are cut. */
const sign = (chunk: Buffer, letter: string): Buffer => {
  for (let at = chunk.indexOf(placeholder); at >= 0; at = chunk.indexOf(placeholder, at + 1)) chunk[at] = letter.charCodeAt(0)
  return chunk
}

/**
 * The Gemini simulator behind a proxy that marks the text of every call. The simulator answers a question with the same
 * words each time; the mark tells which attempt a stored text is of, and whether two were mixed.
 */
export const startModel = async () => {
  const simulator = await startGeminiSimulator({ chunkMillis: 20, numbersVersions: true })
  const calls: Array<Call> = []
  const counts = new Map<string, number>()

  const begin = (body: string, key: unknown): Call => {
    const marker = markerIn(lastTurn(body)) ?? ""
    const count = counts.get(marker) ?? 0
    counts.set(marker, count + 1)
    const letter = letters.charAt(count % letters.length)
    const caller = String(key).replace(keyOf(""), "")
    const call = {
      marker,
      letter,
      at: Date.now(),
      caller,
      firstAt: undefined,
      number: undefined,
      endedAt: undefined,
      aborted: false
    }
    calls.push(call)
    return call
  }

  const forward = (request: http.IncomingMessage, response: http.ServerResponse, body: Buffer) => {
    const call = begin(body.toString(), request.headers["x-goog-api-key"])
    const { connection: _, ...headers } = request.headers
    const upstream = http.request(
      simulator.url + request.url,
      { method: request.method ?? "POST", headers, agent: false },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        response.flushHeaders()
        answer.on("data", (chunk: Buffer) => {
          call.firstAt ??= Date.now()
          call.number ??= numberIn(chunk)
          response.write(sign(chunk, call.letter))
        })
        answer.once("end", () => response.end())
        answer.on("error", () => response.destroy())
      }
    )
    upstream.on("error", () => response.socket?.resetAndDestroy())
    response.once("close", () => {
      call.endedAt = Date.now()
      call.aborted = !response.writableFinished
      upstream.destroy()
    })
    upstream.end(body)
  }

  const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("error", () => response.destroy())
    request.once("end", () => forward(request, response, Buffer.concat(chunks)))
  })
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    /** What the simulator would have billed, and the number of requests that it had in all. */
    bills: simulator.bills,
    requests: () => simulator.stats().started,
    /** Adds faults of all calls, beside those that questions ask for. */
    addFault: simulator.addFault,
    clearFaults: simulator.clearFaults,
    stop: async () => {
      server.close()
      server.closeAllConnections()
      await simulator.stop()
    }
  }
}

export type Model = Awaited<ReturnType<typeof startModel>>

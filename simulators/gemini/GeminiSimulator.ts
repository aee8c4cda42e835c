/**
 * A simulator of Google's Gemini API: an HTTP server on loopback that speaks the Generative Language protocol, so the
 * real SDK works with it unmodified (`httpOptions: { baseUrl: simulator.url }`).
 *
 * - POST /v1beta/models/{model}:generateContent, :streamGenerateContent?alt=sse, :countTokens (also under /v1)
 * - GET /v1beta/models, /v1beta/models/{model}
 *
 * It answers with an echo of the last turn. Magic words in that turn (see the table at `readScript`) and rules added by
 * `addFault` change the answer or make it fail. Faults apply only to generation; counting and listing always work.
 *
 * Control routes, equal to the methods of `GeminiSimulatorControl`: GET /__control/log?contains=, GET /__control/bills,
 * GET /__control/stats, PUT /__control/settings, POST and DELETE /__control/faults, POST /__control/reset.
 *
 * Like Google's, an error response to `?alt=sse` is JSON with the media type text/event-stream.
 */
import { createServer } from "node:http"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import { text as readText } from "node:stream/consumers"
import { parseJson } from "./Body.ts"
import { answerControl } from "./Control.ts"
import type { GeminiSimulatorControl, Settings } from "./Control.ts"
import { FaultBook } from "./FaultBook.ts"
import { MAXIMUM_REQUEST, readFiles } from "./Files.ts"
import { readCountRequest, readGenerateRequest } from "./GenerateRequest.ts"
import { faultError, GoogleError, invalid, invalidApiKey, missingApiKey, unknownModel } from "./GoogleError.ts"
import { Player } from "./Player.ts"
import { toolTokens } from "./Grounding.ts"
import { charactersOf, makeChunks, makeThoughts } from "./Reply.ts"
import { type OpenEntry, RequestLog } from "./RequestLog.ts"
import { isBreaking } from "./Fault.ts"
import { readScript } from "./Script.ts"
import { readSummaryScript, readTitleScript } from "./SideScripts.ts"

export type { GeminiSimulatorControl, Settings } from "./Control.ts"
export type { BilledCall, LogEntry, Stats } from "./RequestLog.ts"
export type { Fault } from "./Fault.ts"

export interface GeminiSimulatorOptions extends Partial<Settings> {
  /** Any free port when absent. */
  readonly port?: number
  readonly host?: string
  /** Ends every `modelVersion` with the call's number, `-call-17`, so that a ledger of calls names them. */
  readonly numbersVersions?: boolean
}

export interface GeminiSimulator extends GeminiSimulatorControl {
  readonly url: string
  readonly port: number
  /** Closes the port and every connection. */
  stop(): Promise<void>
}

export const startGeminiSimulator = async (options: GeminiSimulatorOptions = {}): Promise<GeminiSimulator> => {
  const { host = "127.0.0.1", numbersVersions = false, port = 0, ...given } = options
  const simulation = makeSimulation({ latencyMillis: 0, chunkMillis: 15, chunkChars: 24, ...given }, numbersVersions)
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    void handle(simulation, request, response)
  })
  await listen(server, port, host)
  const actualPort = portOf(server)
  return {
    ...simulation.control,
    url: `http://${host}:${actualPort}`,
    port: actualPort,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

const listen = (server: Server, port: number, host: string) =>
  new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen({ port, host, backlog: 4096 }, () => {
      server.off("error", reject)
      resolve()
    })
  })

const portOf = (server: Server): number => {
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the server listens on no port")
  return address.port
}

interface Simulation {
  readonly log: RequestLog
  readonly faults: FaultBook
  readonly control: GeminiSimulatorControl
  readonly numbersVersions: boolean
}

const makeSimulation = (initial: Settings, numbersVersions: boolean): Simulation => {
  const log = new RequestLog()
  const faults = new FaultBook()
  let settings = initial
  const control: GeminiSimulatorControl = {
    stats: () => log.stats(),
    log: (contains) => log.list(contains),
    bills: () => log.bills(),
    reset: () => {
      log.reset()
      faults.reset()
      settings = initial
    },
    settings: (patch = {}) => (settings = { ...settings, ...patch }),
    addFault: (rule) => faults.add(rule),
    clearFaults: () => faults.clearRules()
  }
  return { log, faults, control, numbersVersions }
}

/** A request to the API, parsed. */
interface Call {
  readonly version: string
  readonly model: string
  /** `generateContent` and so on; `getModel` and `listModels` for the GET routes. */
  readonly method: string
  readonly query: URLSearchParams
}

const readCall = (request: IncomingMessage): Call => {
  const [path = "", query = ""] = (request.url ?? "").split("?")
  const [, version = "", model = "", method] = /^\/(v1beta|v1)\/models(?:\/([^/:]+)(?::(\w+))?)?$/.exec(path) ?? []
  const read = request.method === "GET" && version !== ""
  return {
    version,
    model,
    method: read && method === undefined ? (model ? "getModel" : "listModels") : (method ?? "unknown"),
    query: new URLSearchParams(query)
  }
}

const handle = async (simulation: Simulation, request: IncomingMessage, response: ServerResponse) => {
  if (request.url?.startsWith("/__control/")) return answerControl(simulation.control, request, response)
  const call = readCall(request)
  const entry = simulation.log.begin(call.method, call.model || null)
  const player = new Player(response, entry, call.query.get("alt") === "sse")
  response.once("close", () => {
    player.stop()
    simulation.log.end(entry, !player.done)
  })
  try {
    await readBody(entry, request, call.model)
    answer(simulation, call, player, request)
  } catch (error) {
    if (error instanceof GoogleError) player.refuse(error)
    else if (!response.destroyed) player.refuse(new GoogleError(500, String(error)))
  }
}

/** Reads the request with its files, fetching those that it names by their addresses. */
const readBody = async (entry: OpenEntry, request: IncomingMessage, model: string) => {
  const text = await readText(request)
  if (text.length > MAXIMUM_REQUEST) throw invalid("Request payload size exceeds the limit: 104857600 bytes.")
  entry.bodyText = text
  if (!/"(?:inlineData|fileData)"/.test(text)) return
  const read = await readFiles(text, parseJson(text), model)
  entry.bodyText = read.text
  entry.files = read.files
}

const answer = (simulation: Simulation, call: Call, player: Player, request: IncomingMessage) => {
  const { method, model, query, version } = call
  if (version === "") throw new GoogleError(404)
  const apiKey = request.headers["x-goog-api-key"] ?? query.get("key") ?? ""
  if (apiKey === "") throw missingApiKey()
  if (apiKey === "invalid") throw invalidApiKey()
  if (method === "listModels") return player.json({ models: MODELS.map(describeModel) })
  if (!model.startsWith("gemini-")) throw unknownModel(model, version)
  if (method === "getModel") return player.json(describeModel(model))
  if (request.method !== "POST") throw new GoogleError(404)
  switch (method) {
    case "countTokens":
      return player.json({ totalTokens: readCountRequest(parseJson(player.entry.bodyText), model) })
    case "streamGenerateContent":
      if (!player.sse) throw invalid("This simulator streams only with alt=sse.")
      return generate(simulation, model, player)
    case "generateContent":
      return generate(simulation, model, player)
    default:
      throw new GoogleError(404)
  }
}

const generate = ({ control, faults, numbersVersions }: Simulation, model: string, player: Player) => {
  const request = readGenerateRequest(parseJson(player.entry.bodyText), model, player.entry.files)
  const { name, read } = OWN_SCRIPTS.find(({ instruction }) => request.system.startsWith(instruction)) ?? REPLY_SCRIPT
  const script = read(request.prompt)
  const fault = faults.take(`${name}${request.prompt}`, model, script.faults)
  const { chunkChars, chunkMillis, latencyMillis } = control.settings()
  const version = script.version ?? model
  const chunks = makeChunks(model, request, script, fault, chunkChars)
  player.after(script.latencyMillis ?? latencyMillis, () => {
    switch (fault?.kind) {
      case "status":
        return player.refuse(faultError(model, fault.status, fault), fault.inList)
      case "html":
        return player.badGateway()
      case "reset":
        return player.reset()
      case "hang":
        return
      default:
        return player.play({
          chunks,
          chunkMillis: script.chunkMillis ?? chunkMillis,
          fault: fault && isBreaking(fault) ? fault : undefined,
          context: {
            model: numbersVersions ? `${version}-call-${player.entry.id}` : version,
            responseId: `simulated-${player.entry.id}`,
            promptTokens: request.promptTokens,
            cachedTokens: script.cachedTokens,
            retiresAt: script.retiresAt,
            hiddenThoughts: request.includeThoughts ? 0 : charactersOf(makeThoughts(script, fault)),
            toolTokens: toolTokens(request, script),
            files: request.files
          }
        })
    }
  })
}

/** How the system instruction of a request for a room's title or summary begins, and the magic words that count in it. */
const OWN_SCRIPTS = [
  { instruction: "Name the topic", name: "title of ", read: readTitleScript },
  { instruction: "Summarize the earlier part", name: "summary of ", read: readSummaryScript }
]
const REPLY_SCRIPT = { name: "", read: readScript }

const MODELS = [
  "gemini-3.8-flash",
  "gemini-3.5-flash-lite",
  "gemini-3.5-flash",
  "gemini-3.1-pro-preview",
  "gemini-2.5-flash",
  "gemini-2.5-pro"
]

/** https://ai.google.dev/api/models#Model */
const describeModel = (model: string) => ({
  name: `models/${model}`,
  version: "simulated",
  displayName: `${model} (simulated)`,
  inputTokenLimit: 1_048_576,
  outputTokenLimit: 65_536,
  supportedGenerationMethods: ["generateContent", "countTokens"]
})

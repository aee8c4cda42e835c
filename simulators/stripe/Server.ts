import type { IncomingMessage, ServerResponse } from "node:http"
import { setTimeout as wait } from "node:timers/promises"
import { apiVersion } from "./ApiVersion.ts"
import { answerControl, isControl } from "./control/ControlRoutes.ts"
import type { StripeSimulatorControl } from "./control/Control.ts"
import type { Fault } from "./control/FaultBook.ts"
import { makeId } from "./objects/Base.ts"
import { answerPage, isPage } from "./pages/Pages.ts"
import type { Simulation } from "./Simulation.ts"
import { type Answer, answerCall, type Call, errorAnswer, keyOf } from "./wire/Api.ts"
import { type Form, parseBody, parseForm, readText } from "./wire/Form.ts"
import { StripeError } from "./wire/StripeError.ts"

/** One HTTP request: to the control, to a page, or to the API. */
export const handle = async (
  simulation: Simulation,
  control: StripeSimulatorControl,
  request: IncomingMessage,
  response: ServerResponse
) => {
  const id = makeId("req")
  const { method = "GET", url = "/" } = request
  const [path = "", query = ""] = url.split("?")
  try {
    const text = await readText(request)
    simulation.tick()
    const form = text === "" ? parseForm(query) : parseBody(text, request.headers["content-type"])
    if (isControl(path)) return await answerControl(control, path, form, text, response)
    if (isPage(path)) return sendPage(simulation, method, path, form, response)
    await serveCall(simulation, { id, method, path, form, headers: request.headers }, response)
  } catch (error) {
    send(response, { id, headers: request.headers }, errorAnswer({ id }, error))
  }
}

const sendPage = (simulation: Simulation, method: string, path: string, form: Form, response: ServerResponse) => {
  const answer = answerPage(simulation.account, method, path, form)
  if ("redirect" in answer) response.writeHead(303, { location: answer.redirect }).end()
  else if ("pdf" in answer) response.writeHead(200, { "content-type": "application/pdf" }).end(answer.pdf)
  else response.writeHead(answer.status, { "content-type": "text/html; charset=utf-8" }).end(answer.html)
}

const serveCall = async (simulation: Simulation, call: Call, response: ServerResponse) => {
  const { form, id, method, path } = call
  const fault = simulation.faults.take(method, path)
  const entry = simulation.requests.add({
    id,
    at: Date.now(),
    method,
    path,
    parameters: form,
    idempotencyKey: keyOf(call),
    status: null,
    fault: fault?.kind ?? null,
    replayed: false
  })
  response.once("finish", () => (entry.status = response.statusCode))
  if (fault?.kind === "delay") await wait(fault.millis ?? 1000)
  const takesEffect = !fault || fault.kind === "delay" || fault.kind === "cut" || fault.afterEffect === true
  const answer = takesEffect ? answerCall(simulation.account, call) : undefined
  entry.replayed = answer?.replayed ?? false
  if (answer && (!fault || fault.kind === "delay")) send(response, call, answer)
  else if (fault) breakAnswer(response, call, fault, answer)
}

const send = (response: ServerResponse, call: Pick<Call, "id" | "headers">, { body, replayed, status }: Answer, extra = {}) => {
  const key = keyOf(call)
  response
    .writeHead(status, {
      "content-type": "application/json",
      "request-id": call.id,
      "stripe-version": apiVersion,
      ...(key !== null && { "idempotency-key": key }),
      ...(replayed && { "idempotent-replayed": "true" }),
      ...extra
    })
    .end(body)
}

const breakAnswer = (response: ServerResponse, call: Call, fault: Fault, answer: Answer | undefined) => {
  switch (fault.kind) {
    case "status":
      return send(response, call, errorAnswer(call, faultError(fault)), {
        ...(fault.shouldRetry !== undefined && { "stripe-should-retry": String(fault.shouldRetry) })
      })
    case "html":
      return response.writeHead(fault.status ?? 502, { "content-type": "text/html" }).end("<html><h1>502 Bad Gateway</h1></html>")
    case "json":
      return send(response, call, {
        status: fault.status ?? 502,
        body: fault.body ?? `{"message":"Bad Gateway"}`,
        replayed: false
      })
    case "reset":
      return response.socket?.resetAndDestroy()
    case "cut": {
      const body = answer?.body ?? ""
      response.writeHead(answer?.status ?? 200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
      return response.write(body.slice(0, body.length / 2), () => response.socket?.destroy())
    }
    case "hang":
    case "delay":
      return undefined
  }
}

const faultErrors: Readonly<Record<number, { type: "card_error" | "invalid_request_error"; code: string; message: string }>> = {
  402: { type: "card_error", code: "card_declined", message: "Your card was declined." },
  409: {
    type: "invalid_request_error",
    code: "lock_timeout",
    message: "This object cannot be accessed right now because another API request or Stripe process is currently accessing it."
  },
  429: { type: "invalid_request_error", code: "rate_limit", message: "Request rate limit exceeded." }
}

const faultError = ({ code, message, status = 500, type }: Fault) => {
  const defaults = faultErrors[status]
  return new StripeError(status, message ?? defaults?.message ?? "An unknown error occurred", {
    type: type ?? defaults?.type ?? (status >= 500 ? "api_error" : "invalid_request_error"),
    code: code ?? defaults?.code
  })
}

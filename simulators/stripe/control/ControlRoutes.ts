import type { ServerResponse } from "node:http"
import type { Snapshot } from "../Simulation.ts"
import type { Form } from "../wire/Form.ts"
import {
  boolean,
  integer,
  number,
  oneOf,
  type Parameters,
  type Read,
  readParameters,
  required,
  text,
  word
} from "../wire/Parameters.ts"
import { invalid, StripeError, unknownRoute } from "../wire/StripeError.ts"
import { forgeries } from "../webhooks/Forgery.ts"
import type { StripeSimulatorControl } from "./Control.ts"

const controlPrefix = "/__control/"

export const isControl = (path: string) => path.startsWith(controlPrefix)

type Command = (control: StripeSimulatorControl, form: Form, body: string) => unknown

const command =
  <P extends Parameters>(parameters: P, run: (control: StripeSimulatorControl, input: Read<P>) => unknown): Command =>
  (control, form) =>
    run(control, readParameters(parameters, form))

const outcome = required(oneOf("succeeded", "failed"))

/** One route for each method of the handle. */
const commands: Readonly<Record<keyof StripeSimulatorControl, Command>> = {
  now: command({}, (control) => control.now()),
  advance: command({ seconds: number, days: number }, (control, input) => control.advance(input)),
  setCard: command(
    { customer: required(word), card: required(oneOf("good", "declines", "insufficient_funds", "expired_card", "none")) },
    (control, input) => control.setCard(input)
  ),
  checkout: command(
    { session: required(word), action: required(oneOf("pay", "decline", "later", "start")), email: text },
    (control, input) => control.checkout(input)
  ),
  settlePayment: command({ session: required(word), outcome }, (control, input) => control.settlePayment(input)),
  enterCode: command({ session: required(word), code: required(word) }, (control, input) => control.enterCode(input)),
  changePrice: command({ subscription: required(word), price: required(word) }, (control, input) => control.changePrice(input)),
  setSubscriptionStatus: command({ subscription: required(word), status: required(word) }, (control, input) =>
    control.setSubscriptionStatus(input)
  ),
  refund: command({ charge: required(word), amount: integer }, (control, input) => control.refund(input)),
  openDispute: command({ charge: required(word), reason: word }, (control, input) => control.openDispute(input)),
  closeDispute: command({ dispute: required(word), outcome: required(oneOf("won", "lost")) }, (control, input) =>
    control.closeDispute(input)
  ),
  addFault: command(
    {
      kind: required(oneOf("status", "html", "json", "reset", "cut", "hang", "delay")),
      method: oneOf("GET", "POST", "DELETE"),
      path: word,
      skip: integer,
      times: integer,
      status: integer,
      type: oneOf("api_error", "card_error", "idempotency_error", "invalid_request_error"),
      code: word,
      message: word,
      body: word,
      shouldRetry: boolean,
      millis: integer,
      afterEffect: boolean
    },
    (control, input) => control.addFault(input)
  ),
  clearFaults: command({}, (control) => control.clearFaults()),
  holdWebhooks: command({}, (control) => control.holdWebhooks()),
  heldWebhooks: command({}, (control) => control.heldWebhooks()),
  releaseWebhooks: command({ count: integer, seed: integer }, (control, input) => control.releaseWebhooks(input)),
  dropHeldWebhooks: command({}, (control) => control.dropHeldWebhooks()),
  addWebhookRule: command({ action: required(oneOf("drop", "duplicate")), type: word, times: integer }, (control, input) =>
    control.addWebhookRule(input)
  ),
  resend: command({ event: required(word), endpoint: word }, (control, input) => control.resend(input)),
  forge: command({ kind: required(oneOf(...forgeries)), event: word, endpoint: word }, (control, input) => control.forge(input)),
  rollSecret: command({ endpoint: word, secret: word, overlapSeconds: integer }, (control, input) => control.rollSecret(input)),
  requests: command({ method: word, path: word }, (control, input) => control.requests(input)),
  deliveries: command({ event: word, type: word }, (control, input) => control.deliveries(input)),
  idle: command({ timeoutMillis: integer }, (control, input) => control.idle(input)),
  snapshot: command({}, (control) => control.snapshot()),
  restore: (control, _form, body) => control.restore(readSnapshot(body)),
  reset: command({}, (control) => control.reset())
}

const isName = (name: string): name is keyof StripeSimulatorControl => Object.hasOwn(commands, name)

/** Runs one command and answers with its result, or null. */
export const answerControl = async (
  control: StripeSimulatorControl,
  path: string,
  form: Form,
  body: string,
  response: ServerResponse
) => {
  try {
    const name = path.slice(controlPrefix.length)
    if (!isName(name)) throw unknownRoute("POST", path)
    const result: unknown = await commands[name](control, form, body)
    sendJson(response, 200, result ?? null)
  } catch (error) {
    if (!(error instanceof StripeError)) throw error
    sendJson(response, error.status, error.envelope("control"))
  }
}

const sendJson = (response: ServerResponse, status: number, value: unknown) => {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value))
}

/** Checks the outer shape only: a snapshot comes from the command `snapshot`. */
const readSnapshot = (body: string): Snapshot => {
  const value: unknown = JSON.parse(body)
  if (isSnapshot(value)) return value
  throw invalid("A snapshot is what /__control/snapshot answered.")
}

const isSnapshot = (value: unknown): value is Snapshot =>
  typeof value === "object" && value !== null && "state" in value && "url" in value && typeof value.url === "string"

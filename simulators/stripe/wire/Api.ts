import type { IncomingMessage } from "node:http"
import type { Account } from "../Account.ts"
import { apiVersion } from "../ApiVersion.ts"
import { findRoute } from "../resources/Routes.ts"
import { recall, remember } from "./Idempotency.ts"
import type { Form } from "./Form.ts"
import { invalid, invalidApiKey, missingApiKey, StripeError, unknownRoute } from "./StripeError.ts"

/** A parsed request to the API. */
export interface Call {
  /** `req_…` */
  readonly id: string
  readonly method: string
  readonly path: string
  readonly form: Form
  readonly headers: IncomingMessage["headers"]
}

export interface Answer {
  readonly status: number
  readonly body: string
  readonly replayed: boolean
}

/** Runs the call. It is synchronous, so calls take effect one after the other. */
export const answerCall = (account: Account, call: Call): Answer => {
  try {
    checkKey(account, call.headers.authorization)
    checkVersion(call.headers["stripe-version"])
    return run(account, call)
  } catch (error) {
    return errorAnswer(call, error)
  }
}

/** The answer for an error; one that is not a `StripeError` is a bug of the simulator and says so. */
export const errorAnswer = ({ id }: Pick<Call, "id">, error: unknown): Answer => {
  const known = error instanceof StripeError ? error : new StripeError(500, `Simulator: ${String(error)}`, { type: "api_error" })
  return { status: known.status, body: JSON.stringify(known.envelope(id)), replayed: false }
}

const run = (account: Account, call: Call): Answer => {
  const { form, id, method, path } = call
  const found = findRoute(method, path)
  if (!found) throw unknownRoute(method, path)
  const key = method === "POST" ? keyOf(call) : null
  const request = JSON.stringify([method, path, form])
  const remembered = key === null ? undefined : recall(account, key, request)
  if (remembered) return { ...remembered, replayed: true }
  const object = account.because({ id, idempotency_key: key }, () => found.route.run(account, found.id, form))
  const answer = { status: 200, body: JSON.stringify(object) }
  if (key !== null) remember(account, key, { request, ...answer })
  return { ...answer, replayed: false }
}

export const keyOf = ({ headers }: Pick<Call, "headers">): string | null => {
  const key = headers["idempotency-key"]
  return typeof key === "string" && key !== "" ? key : null
}

/** `Bearer sk_…`, or Basic with the key as the user: https://docs.stripe.com/api/authentication */
const checkKey = ({ settings }: Account, authorization = "") => {
  const [scheme = "", credentials = ""] = authorization.split(" ")
  const isBasic = scheme.toLowerCase() === "basic"
  const key = isBasic ? (Buffer.from(credentials, "base64").toString().split(":")[0] ?? "") : credentials
  if ((!isBasic && scheme.toLowerCase() !== "bearer") || key === "") throw missingApiKey()
  if (settings.secretKey === null ? !/^sk_(test|live)_\w+$/.test(key) : key !== settings.secretKey) throw invalidApiKey(key)
}

/** Refuses other versions: they have other shapes. */
const checkVersion = (version: string | Array<string> | undefined) => {
  if (version !== undefined && version !== apiVersion)
    throw invalid(`Invalid Stripe API version: ${String(version)}. The simulator speaks ${apiVersion}.`)
}

import { Ajv } from "ajv"
import type { ValidateFunction } from "ajv"
import { readFileSync } from "node:fs"

type Json = Record<string, unknown>

interface Operation {
  readonly parameters?: ReadonlyArray<{ readonly name: string }>
  readonly requestBody?: {
    readonly content: { readonly "application/x-www-form-urlencoded": { readonly schema: { readonly properties: Json } } }
  }
  readonly responses: { readonly 200: { readonly content: { readonly "application/json": { readonly schema: Json } } } }
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Json>> }
}

/** The part of Stripe's OpenAPI document that the product uses. */
const openApi: OpenApi = JSON.parse(readFileSync(new URL("stripe-subset.json", import.meta.url), "utf8"))

/** `GET /v1/customers/{customer}` and so on: every operation of the subset. */
export const operations = Object.entries(openApi.paths).flatMap(([path, methods]) =>
  Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
)

const findOperation = (operation: string): Operation | undefined => {
  const [method = "", path = ""] = operation.split(" ")
  return openApi.paths[path]?.[method.toLowerCase()]
}

const bodyOf = (operation: string): Json =>
  findOperation(operation)?.requestBody?.content["application/x-www-form-urlencoded"].schema.properties ?? {}

/** The names of an operation's parameters. */
export const parametersOf = (operation: string): ReadonlyArray<string> => [
  ...(findOperation(operation)?.parameters ?? []).map(({ name }) => name),
  ...Object.keys(bodyOf(operation))
]

/** The event types that an endpoint can subscribe to. */
export const knownEventTypes = (): ReadonlyArray<string> => {
  const { items } = (bodyOf("POST /v1/webhook_endpoints")["enabled_events"] ?? {}) as { items?: { enum?: ReadonlyArray<string> } }
  return items?.enum ?? []
}

/**
 * OpenAPI 3.0 as JSON Schema, and stricter than Stripe: a field that the typings do not have is an error, and so is a
 * word they do not list. That finds fields of older versions, like a subscription's own `current_period_end`.
 */
const toJsonSchema = (schema: unknown): unknown => {
  if (Array.isArray(schema)) return schema.map(toJsonSchema)
  if (typeof schema !== "object" || schema === null) return schema
  const { nullable, "x-any": any, "x-known": known, format: _format, ...rest } = schema as Json
  if (any === true) return {}
  const result: Json = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, toJsonSchema(value)]))
  if (Array.isArray(known)) result["enum"] = known
  if (result["properties"] !== undefined && result["type"] === "object" && typeof result["properties"] === "object")
    result["additionalProperties"] ??= false
  return nullable === true ? { anyOf: [result, { type: "null" }] } : result
}

/** The object of an event is checked by its own schema. */
const isOpen = (name: string) => name === "Event.Data.Object" || name === "Event.Data.PreviousAttributes"

const ajv = new Ajv({ strict: false, allErrors: true })
const ROOT = "stripe"
ajv.addSchema({
  $id: ROOT,
  components: {
    schemas: Object.fromEntries(
      Object.entries(openApi.components.schemas).map(([name, schema]) => [name, isOpen(name) ? {} : toJsonSchema(schema)])
    )
  }
})

const SCHEMA_OF_KIND: Readonly<Record<string, string>> = {
  customer: "Customer",
  product: "Product",
  price: "Price",
  "checkout.session": "Checkout.Session",
  subscription: "Subscription",
  invoice: "Invoice",
  invoice_payment: "InvoicePayment",
  payment_intent: "PaymentIntent",
  charge: "Charge",
  refund: "Refund",
  dispute: "Dispute",
  "billing_portal.session": "BillingPortal.Session",
  webhook_endpoint: "WebhookEndpoint",
  event: "Event"
}

/** Kinds that the subset does not have; Plans.test.ts compares them with the SDK's types. */
const withoutSchema = new Set(["coupon", "promotion_code", "discount", "billing_portal.configuration", "tax.registration"])

const validators = new Map<string, ValidateFunction>()

const validatorOf = (ref: string) => {
  const validator = validators.get(ref) ?? ajv.compile({ $ref: `${ROOT}#/components/schemas/${ref}` })
  validators.set(ref, validator)
  return validator
}

const complaints = (validator: ValidateFunction, value: unknown, what: string): ReadonlyArray<string> =>
  validator(value)
    ? []
    : (validator.errors ?? []).map(
        ({ instancePath, message, params }) => `${what}${instancePath} ${message} ${JSON.stringify(params)}`
      )

/** The violations of an object, and of an event's inner object. */
export const objectComplaints = (object: {
  readonly id: string
  readonly object: string
  readonly data?: { readonly object?: unknown }
}): ReadonlyArray<string> => {
  if (withoutSchema.has(object.object)) return []
  const schema = SCHEMA_OF_KIND[object.object]
  if (schema === undefined) return [`no schema for ${object.object}`]
  const own = complaints(validatorOf(schema), object, object.object)
  const inner = object.object === "event" ? (object.data?.object as typeof object) : undefined
  return inner ? [...own, ...objectComplaints(inner)] : own
}

/** The violations of an answer to an operation of the subset. */
export const answerComplaints = (operation: string, answer: unknown): ReadonlyArray<string> => {
  const known = validators.get(operation)
  if (known !== undefined) return complaints(known, answer, operation)
  const schema = findOperation(operation)?.responses[200].content["application/json"].schema
  if (!schema) return [`no schema for ${operation}`]
  const absolute = JSON.parse(JSON.stringify(toJsonSchema(schema)).replaceAll('"#/', `"${ROOT}#/`)) as Json
  const validator = ajv.compile(absolute)
  validators.set(operation, validator)
  return complaints(validator, answer, operation)
}

export const errorComplaints = (answer: unknown) => complaints(validatorOf("error"), answer, "error")

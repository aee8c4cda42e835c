import type { Account } from "../Account.ts"
import { sublist } from "../objects/Base.ts"
import type { StripeObject } from "../State.ts"
import { invalid } from "./StripeError.ts"

type Json = Record<string, unknown>

/** The answer: a copy of the object with the ids at these paths replaced by their objects. */
export const present = (account: Account, object: object, paths: ReadonlyArray<string> = []): object => {
  const copy: object = structuredClone(object)
  for (const path of paths) {
    const parts = path.split(".")
    if (parts.filter((part) => part !== "data").length > 4)
      throw invalid(`You cannot expand more than 4 levels of a property. (Property: ${path})`, "expand")
    expandAt(account, copy, parts, path)
  }
  return copy
}

const expandAt = (account: Account, target: unknown, [name, ...rest]: ReadonlyArray<string>, path: string) => {
  if (name === undefined || target === null) return
  if (!isRecord(target)) throw cannotExpand(path)
  target[name] = name in target ? resolve(account, target[name], path, rest.length === 0) : include(account, target, name, path)
  const inner = target[name]
  for (const each of Array.isArray(inner) ? inner : [inner]) expandAt(account, each, rest, path)
}

/** The object of an id; hashes and lists along the path are unchanged. */
const resolve = (account: Account, value: unknown, path: string, isLast: boolean): unknown => {
  if (typeof value === "string") {
    const found = account.state.deletedCustomers[value] ? deletedCustomer(value) : account.findAny(value)
    if (found) return structuredClone(found)
  }
  // A list of ids, like a subscription's discounts, as opposed to a list of other values.
  if (Array.isArray(value) && value.every((each) => isReference(account, each)))
    return value.map((each) => resolve(account, each, path, isLast))
  if (value === null || isRecord(value) || (Array.isArray(value) && !isLast)) return value
  throw cannotExpand(path)
}

const isReference = (account: Account, value: unknown) =>
  isRecord(value) || (typeof value === "string" && account.findAny(value) !== undefined)

export const deletedCustomer = (id: string) => ({ id, object: "customer" as const, deleted: true as const })

/** Fields that are only included when they are expanded. */
const include = (account: Account, target: Json, name: string, path: string): unknown => {
  const id = String(target["id"])
  switch (`${String(target["object"])}.${name}`) {
    case "checkout.session.line_items":
      return structuredClone(sublist(`/v1/checkout/sessions/${id}/line_items`, [account.state.carts[id]?.lineItem]))
    case "customer.subscriptions":
      return copies(
        `/v1/customers/${id}/subscriptions`,
        account.all("subscription").filter(({ customer, status }) => customer === id && status !== "canceled")
      )
    case "invoice.payments":
      return copies(
        "/v1/invoice_payments",
        account.all("invoice_payment").filter(({ invoice }) => invoice === id)
      )
    case "charge.refunds":
      return copies(
        `/v1/charges/${id}/refunds`,
        account.all("refund").filter(({ charge }) => charge === id)
      )
    default:
      throw cannotExpand(path)
  }
}

const copies = (url: string, objects: Array<StripeObject>) => structuredClone(sublist(url, objects))

const cannotExpand = (path: string) => invalid(`This property cannot be expanded (${path}).`, "expand")

const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

import type { StripeObject } from "../State.ts"
import { integer, word } from "./Parameters.ts"
import { invalid, missingResource } from "./StripeError.ts"

/** The parameters of every list: https://docs.stripe.com/api/pagination */
export const listParameters = { limit: integer, starting_after: word, ending_before: word }

interface PageInput {
  readonly limit: number | undefined
  readonly starting_after: string | undefined
  readonly ending_before: string | undefined
}

/** One page of these objects, newest first. */
export const page = <T extends StripeObject>(url: string, oldestFirst: ReadonlyArray<T>, input: PageInput) => {
  const { ending_before: before, limit = 10, starting_after: after } = input
  if (limit < 1 || limit > 100) throw invalid("Invalid integer: limit must be between 1 and 100", "limit")
  if (before !== undefined && after !== undefined)
    throw invalid("You may only specify one of these parameters: starting_after, ending_before.")
  const all = oldestFirst.toReversed()
  const indexOf = (id: string, param: string) => {
    const index = all.findIndex((object) => object.id === id)
    if (index < 0) throw missingResource("object", id, param, 400)
    return index
  }
  if (before !== undefined) {
    const end = indexOf(before, "ending_before")
    const start = Math.max(0, end - limit)
    return { object: "list", data: all.slice(start, end), has_more: start > 0, url }
  }
  const start = after === undefined ? 0 : indexOf(after, "starting_after") + 1
  return { object: "list", data: all.slice(start, start + limit), has_more: start + limit < all.length, url }
}

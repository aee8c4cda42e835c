/**
 * The previous values of what an update changed: only the changed keys of a hash, arrays as a whole, null for a key that
 * did not exist. https://docs.stripe.com/api/events/object#event_object-data-previous_attributes
 */
export const previousAttributes = (before: object, after: object): Record<string, unknown> => {
  const previous: Record<string, unknown> = {}
  const old = new Map(Object.entries(before))
  for (const [key, now] of Object.entries(after)) {
    const then: unknown = old.get(key)
    if (!isSame(then, now)) previous[key] = isHash(then) && isHash(now) ? previousAttributes(then, now) : (then ?? null)
    old.delete(key)
  }
  for (const [key, then] of old) previous[key] = then
  return previous
}

const isHash = (value: unknown): value is object => typeof value === "object" && value !== null && !Array.isArray(value)

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

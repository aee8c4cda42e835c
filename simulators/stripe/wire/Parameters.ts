import type { Form, FormValue } from "./Form.ts"
import { invalid, missingParameter, unknownParameter } from "./StripeError.ts"

/** Reads one parameter; `value` is undefined when it was not sent, `name` is its name in the form. */
export type Reader<T> = (value: FormValue | undefined, name: string) => T

/** The parameters of a route or of a hash within them, by name. */
export type Parameters = Readonly<Record<string, Reader<unknown>>>

export type Read<P extends Parameters> = { readonly [Name in keyof P]: ReturnType<P[Name]> }

/** Reads all parameters, and refuses unknown ones instead of ignoring them. */
export const readParameters = <P extends Parameters>(parameters: P, form: Form, prefix = ""): Read<P> => {
  const nameOf = (name: string) => (prefix === "" ? name : `${prefix}[${name}]`)
  for (const name of Object.keys(form)) if (!Object.hasOwn(parameters, name)) throw unknownParameter(nameOf(name))
  const entries = Object.entries(parameters).map(([name, read]) => [name, read(form[name], nameOf(name))])
  return Object.fromEntries(entries) as Read<P>
}

const optional =
  <T>(read: (value: FormValue, name: string) => T): Reader<T | undefined> =>
  (value, name) =>
    value === undefined ? undefined : read(value, name)

const plain = (value: FormValue, name: string): string => {
  if (typeof value === "object") throw invalid(`Invalid string: ${JSON.stringify(value)}`, name)
  return value
}

/** Refuses a request without the parameter. */
export const required =
  <T>(read: Reader<T | undefined>): Reader<T> =>
  (value, name) => {
    const result = read(value, name)
    if (result === undefined) throw missingParameter(name)
    return result
  }

/** Text; the empty text clears the field. */
export const text = optional((value, name) => plain(value, name) || null)

/** Text that cannot be empty: ids, URLs, currencies. */
export const word = optional((value, name) => {
  if (plain(value, name) !== "") return plain(value, name)
  throw invalid(
    `You passed an empty string for '${name}'. We assume empty values are an attempt to unset a parameter; however '${name}' cannot be unset.`,
    name,
    "parameter_invalid_empty"
  )
})

export const integer = optional((value, name) => {
  if (/^-?\d{1,15}$/.test(plain(value, name))) return Number(value)
  throw invalid(`Invalid integer: ${plain(value, name)}`, name, "parameter_invalid_integer")
})

/** A number of seconds since 1970, or empty to clear. */
export const clearableInteger = optional((value, name) => (value === "" ? null : required(integer)(value, name)))

export const number = optional((value, name) => {
  const result = Number(plain(value, name))
  if (value === "" || !Number.isFinite(result)) throw invalid(`Invalid number: ${plain(value, name)}`, name)
  return result
})

export const boolean = optional((value, name) => {
  if (value === "true" || value === "false") return value === "true"
  throw invalid(`Invalid boolean: ${plain(value, name)}`, name)
})

export const oneOf = <const T extends string>(...words: ReadonlyArray<T>): Reader<T | undefined> =>
  optional((value, name) => {
    const found = words.find((candidate) => candidate === value)
    if (found === undefined) throw invalid(`Invalid ${name}: must be one of ${words.join(", ")}`, name)
    return found
  })

export const hash = <P extends Parameters>(parameters: P): Reader<Read<P> | undefined> =>
  optional((value, name) => {
    if (typeof value === "string") throw invalid(`Invalid object`, name)
    return readParameters(parameters, value, name)
  })

export const list = <T>(item: Reader<T>): Reader<ReadonlyArray<T> | undefined> =>
  optional((value, name) => {
    if (value === "") return []
    if (typeof value === "string" || Object.keys(value).some((key) => !/^\d+$/.test(key))) throw invalid("Invalid array", name)
    return Object.entries(value).map(([index, inner]) => item(inner, `${name}[${index}]`))
  })

/** A change of an object's metadata; null clears all of it. */
export type MetadataPatch = Readonly<Record<string, string>> | null

/** https://docs.stripe.com/api/metadata: up to 50 keys of at most 40 characters, values of at most 500. */
export const metadata = optional((value, name): MetadataPatch => {
  if (value === "") return null
  if (typeof value === "string") throw invalid("Invalid object", name)
  const entries = Object.entries(value).map(([key, inner]) => [key, plain(inner, `${name}[${key}]`)] as const)
  if (entries.length > 50) throw invalid("You cannot have more than 50 metadata keys.", name)
  for (const [key, inner] of entries) {
    if (key.length > 40) throw invalid(`Metadata keys are at most 40 characters long: '${key}'`, name)
    if (inner.length > 500) throw invalid("Metadata values are at most 500 characters long.", `${name}[${key}]`)
  }
  return Object.fromEntries(entries)
})

/** Keys merge, an empty value removes its key, null removes them all. */
export const mergeMetadata = (old: Record<string, string>, patch: MetadataPatch | undefined): Record<string, string> => {
  if (patch === null) return {}
  return Object.fromEntries(Object.entries({ ...old, ...patch }).filter(([, value]) => value !== ""))
}

/** A timestamp, or a range: `created[gte]=…`. */
export const range: Reader<((moment: number) => boolean) | undefined> = optional((value, name) => {
  if (typeof value === "string") {
    const wanted = required(integer)(value, name)
    return (moment) => moment === wanted
  }
  const {
    gt = -Infinity,
    gte = -Infinity,
    lt = Infinity,
    lte = Infinity
  } = readParameters({ gt: integer, gte: integer, lt: integer, lte: integer }, value, name)
  return (moment) => moment > gt && moment >= gte && moment < lt && moment <= lte
})

/** The paths of the ids to replace by their objects; see Expand.ts. */
export const expand = list(required(word))

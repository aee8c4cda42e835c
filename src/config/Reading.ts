import { readFileSync } from "node:fs"
import { Config, Effect, Option, Schema } from "effect"
import { integerFromText } from "../api/Schemas.ts"
import { type NameWithDefault, type PlainName, type SecretName, type VariableName, variables } from "./Variables.ts"

/** A setting that is missing or not usable. The process prints its message as one line and does not start. */
export class SettingError extends Schema.TaggedError<SettingError>()("SettingError", {
  setting: Schema.String,
  problem: Schema.String,
  /** Whether it may pass by itself, as an outage of the database does. */
  isPassing: Schema.optional(Schema.Boolean),
  /** The other settings that stop the start, so that they can be mended at once. */
  others: Schema.optional(Schema.Array(Schema.Struct({ setting: Schema.String, problem: Schema.String })))
}) {
  override get message() {
    return `${this.setting}: ${this.problem}`
  }
}

export const fail = (setting: VariableName, problem: string) => Effect.fail(new SettingError({ setting, problem }))

/** Reads one variable. The error has the name and what is expected, never the value, which may be a secret. */
const read = <A>(name: VariableName, config: Config.Config<A>, expected: string) =>
  config.pipe(Effect.mapError(() => new SettingError({ setting: name, problem: `must be ${expected}` })))

const defaultOf = <N extends NameWithDefault<string | number>>(name: N): (typeof variables)[N]["defaultValue"] =>
  variables[name].defaultValue

const oneOf = (choices: ReadonlyArray<string>) => `one of ${choices.join(", ")}`

export const optional = (name: PlainName) => read(name, Config.String(name).pipe(Config.withDefault(undefined)), "text")

export const optionalSecret = (name: SecretName) => read(name, Config.Redacted(name).pipe(Config.withDefault(undefined)), "text")

export const optionalChoice = <const L extends ReadonlyArray<string>>(name: PlainName, choices: L) =>
  read(name, Config.Literals(choices, name).pipe(Config.withDefault(undefined)), oneOf(choices))

export const text = (name: NameWithDefault<string>) =>
  read(name, Config.String(name).pipe(Config.withDefault(defaultOf(name))), "text")

export const integer = (name: NameWithDefault<number>, minimum: number, maximum: number) =>
  read(
    name,
    Config.schema(integerFromText(minimum, maximum), name).pipe(Config.withDefault(defaultOf(name))),
    `a whole number from ${minimum} to ${maximum}`
  )

export const choice = <N extends NameWithDefault<string>, const L extends ReadonlyArray<string>>(name: N, choices: L) =>
  read(name, Config.Literals(choices, name).pipe(Config.withDefault(defaultOf(name))), oneOf(choices))

/** US dollars with at most four decimals, as millionths of a dollar. */
const dollarsOf = Effect.fnUntraced(function* (name: VariableName, value: string) {
  if (!/^\d{1,7}(\.\d{1,4})?$/.test(value)) return yield* fail(name, "must be US dollars like 0.05, with at most four decimals")
  return Math.round(Number(value) * 1_000_000)
})

export const optionalDollars = (name: PlainName) =>
  Effect.flatMap(optional(name), (value) => (value === undefined ? Effect.undefined : dollarsOf(name, value)))

export const dollars = (name: NameWithDefault<string>) => Effect.flatMap(text(name), (value) => dollarsOf(name, value))

/** A variable that holds a JSON array, or the path of a file with one. */
export const jsonText = Effect.fnUntraced(function* (name: PlainName) {
  const configured = yield* optional(name)
  if (configured === undefined || configured.trimStart().startsWith("[")) return configured
  const file = Option.liftThrowable((path: string) => readFileSync(path, "utf8"))(configured)
  return Option.isSome(file) ? file.value : yield* fail(name, "must be a JSON array, or the path of a file that can be read")
})

/** The items of a comma-separated list, without the empty ones. */
export const items = (list = ""): Array<string> =>
  list
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "")

/** The URL without trailing slashes. */
export const url = (name: VariableName, value: string, protocols: ReadonlyArray<string>) =>
  URL.canParse(value) && protocols.includes(new URL(value).protocol)
    ? Effect.succeed(value.replace(/\/+$/, ""))
    : fail(name, `must be a URL starting with ${protocols.map((protocol) => `${protocol}//`).join(" or ")}`)

export const optionalUrl = Effect.fnUntraced(function* (name: PlainName, protocols: ReadonlyArray<string>) {
  const value = yield* optional(name)
  return value === undefined ? undefined : yield* url(name, value, protocols)
})

import { Config, Effect, Schema } from "effect"
import { integerFromText } from "../api/Schemas.ts"
import type { VariableName } from "./Variables.ts"

/** A setting that is missing or cannot be used. The start ends with its one line. */
export class SettingError extends Schema.TaggedError<SettingError>()("SettingError", {
  setting: Schema.String,
  problem: Schema.String
}) {
  override get message() {
    return `${this.setting}: ${this.problem}`
  }
}

export const fail = (setting: VariableName, problem: string) => Effect.fail(new SettingError({ setting, problem }))

/** Reads one name; a value that does not fit is reported by the name alone, so no secret can be printed. */
const read = <A>(name: VariableName, config: Config.Config<A>, expected: string) =>
  config.pipe(Effect.mapError(() => new SettingError({ setting: name, problem: `must be ${expected}` })))

export const string = (name: VariableName) => read(name, Config.String(name).pipe(Config.option), "text")
export const secret = (name: VariableName) => read(name, Config.Redacted(name).pipe(Config.option), "text")

export const integer = (name: VariableName, minimum: number, maximum: number, fallback: number) =>
  read(
    name,
    Config.schema(integerFromText(minimum, maximum), name).pipe(Config.withDefault(fallback)),
    `a whole number from ${minimum} to ${maximum}`
  )

export const choice = <const L extends ReadonlyArray<string>>(name: VariableName, choices: L) =>
  read(name, Config.Literals(choices, name).pipe(Config.option), `one of ${choices.join(", ")}`)

/** The items of a comma list; empty ones are none. */
export const items = (list: string): Array<string> =>
  list
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "")

export const url = (name: VariableName, value: string, protocols: ReadonlyArray<string>) =>
  URL.canParse(value) && protocols.includes(new URL(value).protocol)
    ? Effect.succeed(value.replace(/\/+$/, ""))
    : fail(name, `must be a URL starting with ${protocols.map((p) => `${p}//`).join(" or ")}`)

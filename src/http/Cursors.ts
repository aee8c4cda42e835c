import { Context, Effect, Layer, Schema } from "effect"
import { Keys } from "../keys/Keys.ts"
import { ValidationFailed } from "../api/Problems.ts"

const unknownCursor = (parameter: string) =>
  new ValidationFailed({ errors: [{ path: `query.${parameter}`, message: "must be a cursor of this list" }] })

/** Opaque page cursors: a position and its MAC, bound to one list of one user. */
export class Cursors extends Context.Service<
  Cursors,
  {
    readonly encode: (list: string, position: Schema.Json) => string
    readonly decode: <S extends Schema.Codec<unknown, unknown>>(
      list: string,
      schema: S,
      cursor: string,
      /** The query parameter that holds it; `cursor` without it. */
      parameter?: string | undefined
    ) => Effect.Effect<S["Type"], ValidationFailed>
  }
>()("chat-backend/http/Cursors") {
  static readonly layer = Layer.effect(
    Cursors,
    Effect.gen(function* () {
      const keys = yield* Keys
      const label = (list: string) => `cursor:${list}`
      return Cursors.of({
        encode: (list, position) => {
          const body = Buffer.from(JSON.stringify(position)).toString("base64url")
          return `${body}.${keys.mac(label(list), body).slice(0, 22)}`
        },
        decode: (list, schema, cursor, parameter = "cursor") => {
          const [body = "", mac = "", ...more] = cursor.split(".")
          return more.length === 0 && keys.macs(label(list), body).some((expected) => expected.slice(0, 22) === mac)
            ? Schema.decodeUnknownEffect(Schema.fromJsonString(schema))(Buffer.from(body, "base64url").toString()).pipe(
                Effect.mapError(() => unknownCursor(parameter))
              )
            : Effect.fail(unknownCursor(parameter))
        }
      })
    })
  )
}

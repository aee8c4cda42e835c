import { Clock, Context, Effect, Layer, Option, Schema } from "effect"
import type { Mobile } from "../api/auth/Mobile.ts"
import { Keys } from "../keys/Keys.ts"

/** Milliseconds in which the number must be proved for the details of a signup to be adopted. */
const lifetime = 3_600_000

const Details = Schema.Struct({
  mobile: Schema.String,
  name: Schema.NullOr(Schema.String),
  email: Schema.NullOr(Schema.String),
  passwordHash: Schema.NullOr(Schema.String),
  expiresAt: Schema.Number
})

/** What a signup says about its user. */
export type SignupDetails = Pick<typeof Details.Type, "name" | "email" | "passwordHash">

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Details))

/**
 * What a signup says is kept by the client that said it, in a token with our MAC, and adopted when that client proves the
 * number. A stranger who signs a number up can therefore neither give the owner a password nor replace the owner's.
 */
export class SignupTokens extends Context.Service<
  SignupTokens,
  {
    readonly make: (mobile: Mobile, details: SignupDetails) => Effect.Effect<string>
    /** The details of a valid token for this number; undefined for any other text. */
    readonly read: (mobile: Mobile, token: string) => Effect.Effect<SignupDetails | undefined>
  }
>()("chat-backend/auth/SignupTokens") {
  static readonly layer = Layer.effect(
    SignupTokens,
    Effect.gen(function* () {
      const keys = yield* Keys
      const label = "signup"

      const make: SignupTokens["Service"]["make"] = (mobile, details) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const body = Buffer.from(JSON.stringify({ ...details, mobile, expiresAt: now + lifetime })).toString("base64url")
          return `${body}.${keys.mac(label, body)}`
        })

      const read: SignupTokens["Service"]["read"] = (mobile, token) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const [body = "", mac = ""] = token.split(".")
          if (!keys.verify(label, body, mac)) return undefined
          const details = Option.getOrUndefined(decode(Buffer.from(body, "base64url").toString()))
          return details !== undefined && details.mobile === mobile && details.expiresAt > now ? details : undefined
        })

      return SignupTokens.of({ make, read })
    })
  )
}

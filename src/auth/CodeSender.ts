import { Context, Effect, Layer } from "effect"
import { AppConfig } from "../config/Settings.ts"
import { ShowsNumbers } from "../ops/Logging.ts"
import type { DeliveryFailed } from "../api/auth/AuthErrors.ts"
import type { Code } from "./Code.ts"
import { makeCodeWebhook } from "./CodeWebhook.ts"

/** Brings a code to its number, as `OTP_DELIVERY` says. What no webhook can reach replaces this one layer. */
export class CodeSender extends Context.Service<
  CodeSender,
  {
    /** Returns the code when the caller may show it (the mock delivery), else nothing. */
    readonly deliver: (code: Code) => Effect.Effect<string | undefined, DeliveryFailed>
  }
>()("chat-backend/auth/CodeSender") {
  static readonly layer = Layer.effect(
    CodeSender,
    Effect.gen(function* () {
      const { otpDelivery, otpWebhook } = yield* AppConfig
      if (otpWebhook !== undefined) {
        const post = makeCodeWebhook(otpWebhook)
        return CodeSender.of({ deliver: (code) => Effect.as(post(code), undefined) })
      }
      switch (otpDelivery) {
        case "response":
          return CodeSender.of({ deliver: ({ otp }) => Effect.succeed(otp) })
        case "log":
          return CodeSender.of({
            deliver: ({ mobile, otp }) =>
              Effect.logInfo(`One-time code for ${mobile}: ${otp}`).pipe(
                Effect.provideService(ShowsNumbers, true),
                Effect.as(undefined)
              )
          })
        default:
          return CodeSender.of({ deliver: () => Effect.undefined })
      }
    })
  )
}

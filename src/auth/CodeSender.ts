import { Context, Effect, Layer } from "effect"
import { AppConfig } from "../Config.ts"
import type { DeliveryFailed } from "./AuthErrors.ts"
import type { Mobile } from "./Mobile.ts"

/** Brings a code to its number. A deployment with a real gateway replaces this one layer. */
export class CodeSender extends Context.Service<
  CodeSender,
  {
    /** Returns the code when the caller may show it (the mock delivery), else nothing. */
    readonly deliver: (mobile: Mobile, code: string) => Effect.Effect<string | undefined, DeliveryFailed>
  }
>()("chat-backend/auth/CodeSender") {
  static readonly layer = Layer.effect(
    CodeSender,
    Effect.gen(function* () {
      const { otpDelivery } = yield* AppConfig
      const ways: Record<typeof otpDelivery, CodeSender["Service"]["deliver"]> = {
        response: (_, code) => Effect.succeed(code),
        log: (mobile, code) => Effect.as(Effect.logInfo(`One-time code for ${mobile}: ${code}`), undefined),
        none: () => Effect.undefined
      }
      return CodeSender.of({ deliver: ways[otpDelivery] })
    })
  )
}

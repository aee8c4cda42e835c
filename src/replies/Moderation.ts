import { createHmac } from "node:crypto"
import { Context, Data, Effect, Layer, Redacted, Schema } from "effect"
import { AppConfig } from "../config/Settings.ts"
import { postFailure, signedPost } from "../keys/SignedPost.ts"
import { traceHeaders } from "../ops/Tracing.ts"

/** A check may take this long in all: connecting, a second try, the answer with its body. */
const deadline = "3 seconds"

/** The moderation gateway gave no usable answer, and `MODERATION_FAIL` is `closed`. */
export class ModerationUnavailable extends Data.TaggedError("ModerationUnavailable") {}

export type Verdict =
  /** `isChecked` is false when the gateway was not asked, or gave no usable answer and `MODERATION_FAIL` is `open`. */
  | { readonly allow: true; readonly isChecked: boolean }
  /** The category as the gateway names it; null when it names none that can be stored. */
  | { readonly allow: false; readonly category: string | null }

const decodeAnswer = Schema.decodeUnknownEffect(
  Schema.fromJsonString(Schema.Struct({ allow: Schema.Boolean, category: Schema.optionalKey(Schema.Unknown) }))
)

/** Printable and short, because it is stored and shown. */
const categoryOf = (value: unknown): string | null =>
  typeof value === "string" && /^[\x20-\x7e]{1,64}$/.test(value) ? value : null

/** A text that is about to be sent to the model. */
export interface Checked {
  readonly text: string
  readonly replyId: string
  readonly quotaKey: string
}

/** Asks the operator's moderation gateway about texts before the model gets them. */
export class Moderation extends Context.Service<
  Moderation,
  {
    /** Whether the model may be asked. Without a gateway every text is allowed. */
    readonly check: (checked: Checked) => Effect.Effect<Verdict, ModerationUnavailable>
  }
>()("chat-backend/replies/Moderation") {
  static readonly layer = Layer.effect(
    Moderation,
    Effect.gen(function* () {
      const { moderation } = yield* AppConfig
      if (moderation === undefined) return Moderation.of({ check: () => Effect.succeed({ allow: true, isChecked: false }) })
      const { fail, gateway } = moderation

      /** The same for every account that a number has had, and different for every secret. It does not contain the number. */
      const userKeyOf = (quotaKey: string) =>
        createHmac("sha256", Redacted.value(gateway.secret)).update(`user\u0000${quotaKey}`).digest("base64url")

      const ask = Effect.fnUntraced(function* ({ quotaKey, replyId, text }: Checked) {
        const controller = yield* Effect.acquireRelease(
          Effect.sync(() => new AbortController()),
          (controller) => Effect.sync(() => controller.abort())
        )
        const answer = yield* signedPost(gateway, {
          name: "moderation",
          content: { text, replyId, userKey: userKeyOf(quotaKey) },
          headers: yield* traceHeaders,
          signal: controller.signal
        })
        if (answer === undefined) return yield* Effect.fail(postFailure("the answer was too long or cut off"))
        const { allow, category } = yield* decodeAnswer(answer.toString()).pipe(
          Effect.mapError(() => postFailure('the answer was not JSON with "allow"'))
        )
        return allow ? { allow, isChecked: true } : { allow, category: categoryOf(category) }
      }, Effect.scoped)

      const check = Effect.fn("Moderation.check")((checked: Checked): Effect.Effect<Verdict, ModerationUnavailable> =>
        ask(checked).pipe(
          Effect.timeoutOrElse({ duration: deadline, orElse: () => Effect.fail(postFailure("no answer in time")) }),
          Effect.catch(({ detail }) =>
            Effect.logWarning(`The moderation gateway could not be asked: ${detail}`).pipe(
              Effect.andThen(
                fail === "open"
                  ? Effect.succeed({ allow: true, isChecked: false } as const)
                  : Effect.fail(new ModerationUnavailable())
              )
            )
          )
        )
      )

      return Moderation.of({ check })
    })
  )
}

import { Effect, Redacted, Schedule, Schema } from "effect"
import type { Stripe as Sdk } from "stripe"
import { withoutSlot } from "../ops/RequestSlot.ts"
import { fromUnknown, isRateLimit, StripeFailure } from "./StripeFailure.ts"

/** The version that the SDK is made for, with the shapes that `StripeObjects.ts` expects. */
const apiVersion = "2026-10-28.endive"
/** Milliseconds after which the SDK aborts an HTTP request. */
const timeout = 10_000

/** Loads the SDK: ten megabytes of memory, which only a process that calls Stripe needs. */
export const loadSdk = async (options: { readonly secretKey: Redacted.Redacted; readonly apiBase: string | undefined }) => {
  const base = options.apiBase === undefined ? undefined : new URL(options.apiBase)
  const { Stripe: Sdk } = await import("stripe")
  return new Sdk(Redacted.value(options.secretKey), {
    apiVersion,
    timeout,
    maxNetworkRetries: 2,
    telemetry: false,
    ...(base === undefined
      ? {}
      : {
          host: base.hostname,
          port: base.port || (base.protocol === "http:" ? 80 : 443),
          protocol: base.protocol === "http:" ? "http" : "https"
        })
  })
}

/** One call, its answer decoded: the SDK resolves a non-2xx body without `error` as if it were the object. */
export const callWith =
  (load: () => Promise<Sdk>) =>
  <S extends Schema.Codec<unknown, unknown>>(
    schema: S,
    request: (sdk: Sdk) => Promise<unknown>
  ): Effect.Effect<S["Type"], StripeFailure> => {
    const decode = Schema.decodeUnknownEffect(schema)
    const decoded = Effect.tryPromise({ try: async () => request(await load()), catch: (cause) => cause }).pipe(
      // The SDK does not retry 429; two more tries cover a short burst.
      Effect.retry({
        times: 2,
        schedule: Schedule.exponential("500 millis"),
        while: isRateLimit
      }),
      Effect.mapError(fromUnknown),
      Effect.flatMap((answer) =>
        Effect.mapError(
          decode(answer),
          (error) => new StripeFailure({ kind: "unavailable", detail: `unexpected answer: ${error.message}` })
        )
      ),
      Effect.timeoutOrElse({
        duration: 3 * timeout,
        orElse: () => Effect.fail(new StripeFailure({ kind: "unavailable", detail: "no answer in time" }))
      })
    )
    return withoutSlot(decoded, {
      kind: "billing",
      onFull: Effect.fail(new StripeFailure({ kind: "unavailable", detail: "too many requests wait for Stripe" }))
    })
  }

export type StripeCall = ReturnType<typeof callWith>

/** The items of all pages of a list. */
export const everyPage = Effect.fnUntraced(function* <A extends { readonly id: string }>(
  page: (after: {
    readonly starting_after?: string
  }) => Effect.Effect<{ readonly data: ReadonlyArray<A>; readonly has_more: boolean }, StripeFailure>
) {
  const found: Array<A> = []
  while (true) {
    const after = found.at(-1)?.id
    const { data, has_more } = yield* page(after === undefined ? {} : { starting_after: after })
    found.push(...data)
    if (!has_more || data.length === 0) return found
  }
})

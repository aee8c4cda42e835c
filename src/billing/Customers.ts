import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Stripe, type StripeFailure } from "./Stripe.ts"

/** Who a user is at Stripe. */
export class Customers extends Context.Service<
  Customers,
  {
    readonly find: (userId: string) => Effect.Effect<string | undefined>
    readonly userOf: (customerId: string) => Effect.Effect<string | undefined>
    /** The user's customer, made when there is none; `replaced` was deleted at Stripe, so the next is another. */
    readonly ensure: (userId: string, mobile: string, replaced?: string) => Effect.Effect<string, StripeFailure>
    /** The customer is gone at Stripe: the next checkout makes another. */
    readonly forget: (customerId: string) => Effect.Effect<void>
  }
>()("chat-backend/billing/Customers") {
  static readonly layer = Layer.effect(
    Customers,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const stripe = yield* Stripe

      const find = Effect.fnUntraced(function* (userId: string) {
        const [row] = yield* sql<{ customerId: string }>`select customer_id from billing_customers where user_id = ${userId}`
        return row?.customerId
      }, Effect.orDie)

      const userOf = Effect.fnUntraced(function* (customerId: string) {
        const [row] = yield* sql<{ userId: string }>`select user_id from billing_customers where customer_id = ${customerId}`
        return row?.userId
      }, Effect.orDie)

      const ensure = Effect.fn("Customers.ensure")(function* (userId: string, mobile: string, replaced?: string) {
        const known = yield* find(userId)
        if (known !== undefined) return known
        // Parallel calls share an idempotency key, so Stripe makes one; the first row stays.
        const { id } = yield* stripe.createCustomer(userId, mobile, replaced ?? "first")
        yield* Effect.orDie(sql`
          insert into billing_customers (user_id, customer_id) values (${userId}, ${id}) on conflict (user_id) do nothing
        `)
        return (yield* find(userId)) ?? id
      })

      const forget = Effect.fn("Customers.forget")(function* (customerId: string) {
        yield* sql`delete from billing_customers where customer_id = ${customerId}`
      }, Effect.orDie)

      return Customers.of({ find, userOf, ensure, forget })
    })
  )
}

import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Stripe } from "./Stripe.ts"
import type { StripeFailure } from "./StripeFailure.ts"

/** The user that a customer belongs to; the row outlives the user. */
interface Owner {
  readonly userId: string
  readonly isDeleted: boolean
}

/** Which customer of Stripe's a user is. */
export class Customers extends Context.Service<
  Customers,
  {
    readonly find: (userId: string) => Effect.Effect<string | undefined>
    /** The owner of a customer, or nothing for a customer that another application made. */
    readonly ownerOf: (customerId: string) => Effect.Effect<Owner | undefined>
    /** Finds or creates the user's customer. `replaced` is the one that was deleted at Stripe, so that another is created. */
    readonly ensure: (userId: string, mobile: string, replaced: string | undefined) => Effect.Effect<string, StripeFailure>
    /** Removes a customer that was deleted at Stripe: the next checkout creates another. */
    readonly forget: (customerId: string) => Effect.Effect<void>
  }
>()("chat-backend/billing/Customers") {
  static readonly layer = Layer.effect(
    Customers,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const stripe = yield* Stripe

      const find: Customers["Service"]["find"] = Effect.fn("Customers.find")(function* (userId) {
        const [row] = yield* sql<{ customerId: string }>`select customer_id from billing_customers where user_id = ${userId}`
        return row?.customerId
      }, Effect.orDie)

      const ownerOf: Customers["Service"]["ownerOf"] = Effect.fn("Customers.ownerOf")(function* (customerId) {
        const [row] = yield* sql<Owner>`
          select c.user_id, u.id is null as is_deleted
          from billing_customers c left join users u on u.id = c.user_id where c.customer_id = ${customerId}
        `
        return row
      }, Effect.orDie)

      const ensure: Customers["Service"]["ensure"] = Effect.fn("Customers.ensure")(function* (userId, mobile, replaced) {
        const known = yield* find(userId)
        if (known !== undefined) return known
        // Parallel calls share an idempotency key, so Stripe creates one customer; the first row stays.
        const { id } = yield* stripe.createCustomer(userId, mobile, replaced ?? "first")
        yield* sql`
          insert into billing_customers (user_id, customer_id) values (${userId}, ${id})
          -- Both keys: of two equal rows at once, the second may meet the other's customer before its user.
          on conflict do nothing
        `.pipe(Effect.orDie)
        return (yield* find(userId)) ?? (yield* Effect.die(new Error(`${id} is another user's customer`)))
      })

      const forget: Customers["Service"]["forget"] = Effect.fn("Customers.forget")(function* (customerId) {
        yield* sql`delete from billing_customers where customer_id = ${customerId}`
      }, Effect.orDie)

      return Customers.of({ find, ownerOf, ensure, forget })
    })
  )
}

/** How long an idempotency key is kept, as Postgres reads an interval. The contract says 24 hours, too. */
export const keyLifetime = "24 hours"

/** Skips what follows a payment unless the checkout is the Stripe simulator's: a script cannot pay at Stripe's own. */
if (pm.variables.get("billing") !== "simulator") {
  console.log("Skipped: only the checkout of the Stripe simulator can be paid by a script.")
  pm.execution.skipRequest()
}

import { Layer } from "effect"
import { Cursors } from "./Cursors.ts"
import { Idempotency } from "./Idempotency.ts"

/** What the features' handlers share. */
export const HttpKitLayer = Layer.mergeAll(Cursors.layer, Idempotency.layer)

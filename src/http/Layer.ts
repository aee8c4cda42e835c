import { Layer } from "effect"
import { Cursors } from "./Cursors.ts"
import { Idempotency } from "./Idempotency.ts"
import { ImmediateAnswers } from "./ImmediateAnswers.ts"
import { RefreshCookie } from "./RefreshCookie.ts"

/** What the features' handlers share. */
export const HttpKitLayer = Layer.mergeAll(Cursors.layer, Idempotency.layer, ImmediateAnswers.layer, RefreshCookie.layer)

import { Layer } from "effect"
import { CallLedger } from "./CallLedger.ts"
import { Models } from "./Models.ts"
import { Spending } from "./Spending.ts"

/** The models that users may choose, and the deployment's limit of money. */
export const ModelsLayer = Layer.mergeAll(Models.layer, Spending.layer, CallLedger.layer)

import { builtInModels } from "../../src/config/BuiltInModels.ts"
import type { Model } from "../../src/config/Models.ts"

/** A model that every tier may use, without a price. */
export const plainModel = (id: string, changes: Partial<Model> = {}): Model => ({
  ...builtInModels[0],
  id,
  name: id,
  default: false,
  prices: [],
  ...changes
})

/** The setting `MODELS`: the built-in models and these. */
export const modelsWith = (...models: ReadonlyArray<string | Model>): string =>
  JSON.stringify([...builtInModels, ...models.map((model) => (typeof model === "string" ? plainModel(model) : model))])

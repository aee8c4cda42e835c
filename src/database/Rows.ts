import { String } from "effect"

/** The columns of a schema's fields: `created_at` for `createdAt`. */
export const columnsOf = (fields: ReadonlyArray<string>): string => fields.map(String.camelToSnake).join(", ")

/** A value of the contract as its row has it: the times, by convention every field that ends in `At`, are still `Date`s. */
export type RowOf<Value> = {
  readonly [Field in keyof Value]: Field extends `${string}At` ? Date | Extract<Value[Field], null> : Value[Field]
}

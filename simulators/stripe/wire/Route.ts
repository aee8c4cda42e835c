import type { Account } from "../Account.ts"
import { present } from "./Expand.ts"
import type { Form } from "./Form.ts"
import { expand, readParameters } from "./Parameters.ts"
import type { Parameters, Read } from "./Parameters.ts"

/** One method of one path of the API. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE"
  /** `/v1/customers/:id`; at most one part is open. */
  readonly path: string
  /** What it takes; anything else is refused. */
  readonly parameters: Parameters
  /** Answers with the object to send. */
  readonly run: (account: Account, id: string, form: Form) => object
}

const WITH_EXPAND = { expand }

/** A route that takes these parameters, and `expand`. The handler changes the account at once, without waiting. */
export const route = <P extends Parameters>(
  method: Route["method"],
  path: string,
  parameters: P,
  handle: (account: Account, input: Read<P>, id: string) => object
): Route => ({
  method,
  path,
  parameters: { ...parameters, ...WITH_EXPAND },
  run: (account, id, form) => {
    const input = readParameters({ ...parameters, ...WITH_EXPAND }, form)
    return present(account, handle(account, input as Read<P>, id), input.expand as ReadonlyArray<string> | undefined)
  }
})

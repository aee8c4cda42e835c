import type { Account } from "../Account.ts"
import { present } from "./Expand.ts"
import type { Form } from "./Form.ts"
import { expand, type Parameters, type Read, readParameters } from "./Parameters.ts"

/** One method of one path of the API. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE"
  /** `/v1/customers/:id`; at most one part is variable. */
  readonly path: string
  /** The parameters it takes; others are refused. */
  readonly parameters: Parameters
  /** Returns the object to send. */
  readonly run: (account: Account, id: string, form: Form) => object
}

/** A route that takes these parameters, and `expand`. The handler is synchronous. */
export const route = <P extends Parameters>(
  method: Route["method"],
  path: string,
  parameters: P,
  handle: (account: Account, input: Read<P>, id: string) => object
): Route => ({
  method,
  path,
  parameters: { ...parameters, expand },
  run: (account, id, { expand: expandValue, ...form }) => {
    const input = readParameters(parameters, form)
    const paths = expand(expandValue, "expand")
    return present(account, handle(account, input, id), paths)
  }
})

import { Effect, Schema } from "effect"
import { Count } from "./Schemas.ts"

/** A member of what is worth trying again; the server tells it as the header `Retry-After` as well. */
export const retryAfter = {
  retryAfter: Count.annotate({ description: "Seconds until it is worth trying again.", examples: [30] })
}

/**
 * The declaration and members of one problem (RFC 9457), to be spread into `HttpApiError.Problem`:
 * `code` is the stable word clients branch on, `detail` a sentence for people. The server adds `requestId`.
 */
export const problem = <const Code extends string, const Status extends number, const Fields extends Schema.Struct.Fields = {}>(
  code: Code,
  status: Status,
  title: string,
  fields?: Fields
) =>
  [
    { type: `urn:problem-type:${code}`, status, title },
    {
      detail: Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed(title))),
      code: Schema.tag(code),
      requestId: Schema.optionalKey(Schema.String),
      ...(fields as Fields)
    }
  ] as const

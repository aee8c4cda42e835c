import { Effect, Schema } from "effect"
import { Count } from "./Schemas.ts"

/** A member of problems that a client may retry. The server also sends it as the header `Retry-After`. */
export const retryAfter = {
  retryAfter: Count.annotate({ description: "Seconds to wait before a retry.", examples: [30] })
}

/** A member of problems that a higher tier does not have. */
export const upgradeUrl = {
  upgradeUrl: Schema.String.annotate({
    description: "Where to upgrade.",
    format: "uri",
    examples: ["https://chat.example.com/subscribe/pro"]
  })
}

/**
 * The declaration and members of one problem (RFC 9457), to be spread into `HttpApiError.Problem`:
 * clients branch on `code`, people read `detail`. The server adds `requestId`.
 */
export const problem = <const Code extends string, const Status extends number, const Fields extends Schema.Struct.Fields = {}>(
  code: Code,
  status: Status,
  title: string,
  fields?: Fields
) =>
  [
    { type: `urn:problem-type:${code}`, status, title },
    // `Object.assign` and not a spread, which would lose the type of optional fields.
    Object.assign(
      {
        detail: Schema.String.pipe(Schema.withConstructorDefault(Effect.succeed(title))),
        code: Schema.tag(code),
        requestId: Schema.optionalKey(Schema.String)
      },
      fields
    )
  ] as const

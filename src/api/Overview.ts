/** The introduction of the API document (CommonMark). */
export const overview = `One-time-code login, chatrooms, and Gemini's replies through a durable queue.

**First steps.**

1. \`POST /auth/send-otp\` sends a code; in development it is in the response.
2. \`POST /auth/verify-otp\` logs in with it and returns a \`token\`. Send it with every other request:
   \`Authorization: Bearer <token>\`. Programs can use an API key (\`POST /user/keys\`) instead.
3. \`POST /chatroom\` creates a chatroom.
4. \`POST /chatroom/{id}/message?wait=20\` asks a question and returns the reply. Without \`wait\`, read the reply from its stream.

**Values.** Ids are UUIDv7, times ISO 8601 in UTC with milliseconds. Text is Unicode without NUL. Unknown request
fields are ignored. Responses may gain fields, and a status may gain codes. Bodies are JSON of at most 256 KiB, unless an
operation says otherwise.

**Errors.** Every response other than 2xx and 304 is \`application/problem+json\` (RFC 9457). Branch on \`code\`; \`errors\` lists
every invalid field. An unknown path is 404, an unsupported method 405 with \`Allow\`. Another user's resource is 404, as if
it did not exist. Refusals under \`/v1\` have the form of OpenAI's API instead.

**Retries.** A request that creates something can carry an \`Idempotency-Key\`. Sent again, it gets the first response, with
\`Idempotent-Replayed: true\`. After 429 and 503, wait for \`Retry-After\`.

**Lists.** Use \`?limit=\` and \`?cursor=\`. \`nextCursor\` and the \`Link\` header lead to the next page.

**All responses.** Every response has \`X-Request-Id\` (a client can send its own) and \`X-Content-Type-Options: nosniff\`. Every
\`GET\` route also answers \`HEAD\`.

**Samples.** They work in a shell with \`TOKEN\` (the access token), \`ROOM\` and \`REPLY\` (ids of a chatroom and of a reply).

**Error codes.** A problem's \`type\` is a name, not an address; its \`code\` is in this table.`

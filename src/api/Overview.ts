/** What holds of the whole API, for the first page of its document (CommonMark). */
export const overview = `One-time-code login, chatrooms, and Gemini's answers through a durable queue.

**First steps.** POST /auth/send-otp, POST /auth/verify-otp, then every other request with \`Authorization: Bearer <token>\`:
POST /chatroom, and POST /chatroom/{id}/message with \`?wait=20\` for an answer in the same request.

**Values.** Ids are UUIDv7, times ISO 8601 in UTC with milliseconds. Text is Unicode without NUL. Unknown fields of a request
are ignored; an answer may gain fields, and a status may gain codes. Bodies are JSON of at most 256 KiB.

**Refusals.** Every answer that is not 2xx or 304 is \`application/problem+json\` (RFC 9457). \`code\` is the word to branch on,
\`errors\` tells each place that does not fit. A path that is not there is 404, a method that is not 405 with \`Allow\`.
Somebody else's resource is 404, as if it did not exist.

**Repeating.** With an \`Idempotency-Key\` a request that creates something can be sent again: it gets the first answer, with
\`Idempotent-Replayed: true\`. After 429 and 503 wait for \`Retry-After\`.

**Lists.** \`?limit=\` and \`?cursor=\`; the next page is in \`nextCursor\` and in \`Link\`.

**Always.** \`X-Request-Id\` on every answer (send your own to find it in the logs), \`X-Content-Type-Options: nosniff\`, \`HEAD\`
wherever there is \`GET\`.`

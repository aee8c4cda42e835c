/**
 * Answers to the questions that the playground suggests, so that a visitor without a key of Google's sees what a reply can
 * look like.
 */
const answers: Readonly<Record<string, string>> = {
  "Show me what a reply can look like": `This reply comes from the **built-in simulator**. Set \`GEMINI_API_KEY\`, and Gemini answers instead.

## What the page shows

1. Text in Markdown, *while it is written*
2. Code, highlighted, with a button that copies it
3. Tables, lists and quotes

\`\`\`ts
const stream = await fetch(\`/chatroom/\${room}/message/\${reply}/stream\`, {
  headers: { authorization: \`Bearer \${token}\`, "last-event-id": position }
})
\`\`\`

> Cut your network now: the reply goes on at the next character when you are back.
`,
  "Explain HTTP caching with an example in TypeScript": `A cache may keep a response for as long as its \`Cache-Control\` says. After that it asks whether the response has changed, with the \`ETag\` that it got:

\`\`\`ts
const cached = new Map<string, { etag: string; body: string }>()

export const get = async (url: string): Promise<string> => {
  const known = cached.get(url)
  const headers = known === undefined ? {} : { "if-none-match": known.etag }
  const response = await fetch(url, { headers })
  if (response.status === 304 && known !== undefined) return known.body
  const body = await response.text()
  const etag = response.headers.get("etag")
  if (etag !== null) cached.set(url, { etag, body })
  return body
}
\`\`\`

- **200** carries a new body and a new tag.
- **304** has no body: what the client has is still right.

The list of rooms on the left is fetched like this. Open **As HTTP** to see its \`etag\`.
`,
  "Compare queues in Postgres and Redis in a table": `Both work. They differ in what is true after a crash:

| | Postgres | Redis with BullMQ |
|---|---|---|
| accepting a job | one transaction with the data | a second write, which a crash can lose |
| reading the state | SQL | a library's data structures |
| throughput | thousands of jobs a second | tens of thousands |
| servers to run | the one that you have | one more |

Choose Redis when the rate is beyond what a table can take; choose Postgres when a job must never exist without its data.
`,
  "Write a haiku about a connection that resumes": `The line falls silent.
At the next character
the same sentence goes on.
`
}

const demoAnswers = new Map(Object.entries(answers))

/** The answer to a suggested question, and to no other. */
export const demoAnswerTo = (prompt: string): string | undefined => demoAnswers.get(prompt.trim())

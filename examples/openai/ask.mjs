// Asks a question with the `openai` package, whose base URL and key are all that is changed:
// API_KEY=gcb_… node ask.mjs "Why is the sky blue?"
import OpenAI from "openai"

const { API_KEY, BASE_URL = "http://localhost:3000" } = process.env
const question = process.argv[2] ?? "Why is the sky blue?"

const client = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY })
try {
  const { data } = await client.models.list()
  const model = process.env["MODEL"] ?? data[0]?.id ?? ""
  const messages = [
    { role: "system", content: "Answer in one sentence." },
    { role: "user", content: question }
  ]
  const options = { stream: true, stream_options: { include_usage: true } }
  for await (const { choices, usage } of await client.chat.completions.create({ model, messages, ...options })) {
    process.stdout.write(choices[0]?.delta.content ?? "")
    if (usage) console.error(`\n${usage.prompt_tokens} and ${usage.completion_tokens} tokens of ${model}`)
  }
  process.stdout.write("\n")
} catch (error) {
  const help = error instanceof OpenAI.APIError ? `${error.code} (request ${error.requestID})` : ""
  console.error(`${error instanceof Error ? error.message : error} ${help}`)
  process.exitCode = 1
}

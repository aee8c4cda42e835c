// Logs in, asks a question and follows the reply while it is written: node ask.mjs "Why is the sky blue?"
import { createInterface } from "node:readline/promises"
import { ChatClient, Problem } from "gemini-chat-client"

const { BASE_URL = "http://localhost:3000", MOBILE } = process.env
const mobile = MOBILE ?? `+9198${String(Date.now()).slice(-8)}`
const question = process.argv[2] ?? "Why is the sky blue?"

const askForCode = async () => {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const code = await terminal.question(`Code sent to ${mobile}: `)
  terminal.close()
  return code
}

const client = new ChatClient({ baseUrl: BASE_URL })
try {
  const challenge = await client.sendCode(mobile)
  // Only a development server tells the code; others send it to the phone.
  const otp = challenge.otp ?? (await askForCode())
  await client.logIn({ mobile, otp, challengeId: challenge.challengeId })
  const room = await client.call("POST /chatroom", { body: {} })
  const { quota, reply } = await client.ask(room.id, question)
  console.error(`${quota.remaining ?? "unlimited"} questions left today`)
  const stream = client.stream(reply, { onLost: () => console.error("\nthe connection is lost, connecting again") })
  for await (const event of stream) {
    if (event.type === "delta") process.stdout.write(event.text)
    if (event.type === "replace") process.stdout.write(`\n(once more)\n${event.text}`)
    if (event.type === "failed") throw new Error(event.error?.message)
  }
  process.stdout.write("\n")
} catch (error) {
  const help = error instanceof Problem ? `${error.code} (request ${error.requestId})` : ""
  console.error(`${error instanceof Error ? error.message : error} ${help}`)
  process.exitCode = 1
}

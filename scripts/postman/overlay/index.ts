import type { Folder } from "../Overlay.ts"
import { account } from "./account.ts"
import { chat } from "./chat/index.ts"
import { operations } from "./operations.ts"
import { quota } from "./quota.ts"
import { refusals } from "./refusals/index.ts"
import { rooms } from "./rooms.ts"
import { sessions } from "./sessions.ts"
import { subscription } from "./subscription.ts"
import { webhook } from "./webhook.ts"

export { variables } from "./variables.ts"

export const name = "Gemini chat backend"

export const about = `A walk through the whole API in the order in which a person would take it: sign up, open a room, ask Gemini, use up the day's prompts, subscribe to Pro, look after one's sessions, and be refused in every way there is.

**To begin:** start the server with \`npm run dev\`, choose the environment *Gemini chat: local*, and send the requests one after the other, or run the whole collection with the runner. Each run signs up a new random number, so it can be repeated at once.

Scripts keep tokens, ids and codes in the collection's variables; every request inherits the access token from the collection. Where an answer takes a while the runner polls, at most 30 times.

The run needs a server that answers with its one-time codes, as \`npm run dev\` does (\`OTP_DELIVERY=response\`). Where codes are really sent, walk by hand and fill in the variable \`otp\`.

Against a deployed server, put its address into \`baseUrl\` of the environment *Gemini chat: Render*. What only the local Stripe simulator can do is left out there. Set \`adminToken\` and \`webhookSecret\` (variables of this collection) to the server's own to try those routes, too.

The file is generated from openapi.json and scripts/postman/: change it there.`

export const folders: ReadonlyArray<Folder> = [account, rooms, chat, quota, subscription, webhook, sessions, refusals, operations]

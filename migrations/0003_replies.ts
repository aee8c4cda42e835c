import { Effect } from "effect"
import { finishReply } from "./functions/finishReply.ts"
import { sendMessage } from "./functions/sendMessage.ts"
import { uuidAfter } from "./functions/uuidAfter.ts"

/** The two transactions of a message's life, as functions. */
export default Effect.all([uuidAfter, sendMessage, finishReply], { discard: true })

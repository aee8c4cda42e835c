import type { Folder } from "../../Overlay.ts"
import { input } from "./input.ts"
import { loggingIn } from "./loggingIn.ts"
import { missing } from "./missing.ts"
import { strangers } from "./strangers.ts"

export const refusals: Folder = {
  name: "8. Refusals",
  about:
    "What is not allowed, and how it is said: every refusal is `application/problem+json` with a stable `code` and the `requestId` to quote. Two more people are needed for that; they log in here.",
  items: [...loggingIn, ...input, ...missing, ...strangers]
}

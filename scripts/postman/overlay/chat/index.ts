import type { Folder } from "../../Overlay.ts"
import { asking } from "./asking.ts"
import { changing } from "./changing.ts"
import { reading } from "./reading.ts"

export const chat: Folder = {
  name: "3. Chat",
  about: "Ask, and get the reply by polling, by waiting or as a stream; ask again, stop, search, export.",
  items: [...asking, ...reading, ...changing]
}

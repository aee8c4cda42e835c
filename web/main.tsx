import { effect, untracked } from "@preact/signals"
import { render } from "preact"
import { App } from "./App.tsx"
import { attempt } from "./state/attempt.ts"
import { showRoom } from "./state/conversation.ts"
import { openDialog } from "./state/panels.ts"
import { returnFromStripe } from "./state/returning.ts"
import { openRoomId } from "./state/rooms.ts"
import { phase, restore } from "./state/session.ts"
import "./state/theme.ts"

/** The address names the open room, and perhaps a message in it: `#room/message`; `#upgrade` is where a limit leads. */
const readAddress = (): void => {
  const [name = ""] = location.hash.slice(1).split("/")
  if (name === "upgrade") openDialog({ name: "account", tab: "plan" })
  openRoomId.value = name === "" || name === "upgrade" ? undefined : name
}

readAddress()
addEventListener("hashchange", readAddress)
effect(() => {
  const id = openRoomId.value
  if (phase.value === "in") untracked(() => void attempt(() => showRoom(id)))
})

const root = document.querySelector("#app")
if (root !== null) render(<App />, root)
void restore().then(() => (phase.value === "in" ? returnFromStripe() : undefined))

import { useSignalEffect } from "@preact/signals"
import { isOnline } from "../state/connection.ts"
import { isHttpOpen, showsRooms } from "../state/panels.ts"
import { Conversation } from "./Conversation.tsx"
import { Dialogs } from "./Dialogs.tsx"
import { HttpPanel } from "./HttpPanel.tsx"
import { Sidebar } from "./Sidebar.tsx"

const focusSearch = (): void => {
  showsRooms.value = true
  queueMicrotask(() => document.querySelector<HTMLInputElement>("#search")?.focus())
}

/** Escape closes what is open beside the conversation; Ctrl or Cmd with K goes to the search. */
const onKeyDown = (event: KeyboardEvent): void => {
  if (event.key === "Escape" && !event.defaultPrevented) {
    if (showsRooms.value) showsRooms.value = false
    else if (isHttpOpen.value) isHttpOpen.value = false
  }
  if (event.key === "k" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault()
    focusSearch()
  }
}

export const Shell = () => {
  useSignalEffect(() => {
    addEventListener("keydown", onKeyDown)
    return () => removeEventListener("keydown", onKeyDown)
  })
  return (
    <div class={`shell ${isHttpOpen.value ? "with-http" : ""} ${showsRooms.value ? "with-rooms" : ""}`}>
      <a
        class="skip"
        href="#question"
        onClick={(event) => (event.preventDefault(), document.querySelector<HTMLElement>("#question")?.focus())}
      >
        Skip to the question
      </a>
      <Sidebar />
      {showsRooms.value && (
        <button type="button" class="shade" aria-label="Close the list of rooms" onClick={() => (showsRooms.value = false)} />
      )}
      <main class="main">
        {!isOnline.value && (
          <p class="banner" role="status">
            You are offline. Replies go on at the server, and appear here when you are back.
          </p>
        )}
        <Conversation />
      </main>
      {isHttpOpen.value && <HttpPanel />}
      <Dialogs />
    </div>
  )
}

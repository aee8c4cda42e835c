import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { baseUrl } from "../api/transport.ts"
import { attempt } from "../state/attempt.ts"
import { showsRooms } from "../state/panels.ts"
import { loadRooms, search, searchFor, showsArchived } from "../state/rooms.ts"
import { AccountButton } from "./AccountButton.tsx"
import { HttpButton } from "./HttpButton.tsx"
import { Icon } from "./Icon.tsx"
import { IconButton } from "./IconButton.tsx"
import { ImportButton } from "./ImportButton.tsx"
import { RoomList } from "./RoomList.tsx"
import { SearchResults } from "./SearchResults.tsx"
import { ThemeButton } from "./ThemeButton.tsx"

const pauseMillis = 250

/** Searches when the user has stopped typing for a moment. */
const useSearch = () => {
  const text = useSignal(search.value)
  useEffect(() => {
    if (text.value.trim() === search.value) return
    const timer = setTimeout(() => void attempt(() => searchFor(text.value.trim())), pauseMillis)
    return () => clearTimeout(timer)
  }, [text.value])
  return text
}

const switchArchived = (): void => {
  showsArchived.value = !showsArchived.value
  void attempt(loadRooms)
}

const newChat = (): void => {
  location.hash = ""
  showsRooms.value = false
  document.querySelector<HTMLElement>("#question")?.focus()
}

export const Sidebar = () => {
  const text = useSearch()
  return (
    <nav class="sidebar" aria-label="Rooms">
      <div class="sidebar-top">
        <span class="brand">Gemini chat</span>
        <ThemeButton />
        <IconButton class="only-small" icon="close" label="Close the list of rooms" onClick={() => (showsRooms.value = false)} />
      </div>
      <div class="row">
        <button type="button" class="button new-chat" onClick={newChat}>
          <Icon name="plus" /> New chat
        </button>
        <HttpButton
          label="rooms"
          operations={["POST /chatroom", "GET /chatroom", "GET /chatroom/:id", "PATCH /chatroom/:id", "DELETE /chatroom/:id"]}
        />
      </div>
      <div class="search">
        <Icon name="search" />
        <input
          id="search"
          type="search"
          placeholder="Search"
          aria-label="Search rooms and messages"
          aria-keyshortcuts="Control+K Meta+K"
          maxLength={120}
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
        <HttpButton label="search" operations={["GET /search", "GET /chatroom"]} />
      </div>
      <div class="rooms">
        <RoomList />
        {search.value !== "" && <SearchResults />}
      </div>
      <div class="sidebar-end">
        <button type="button" class="link" aria-pressed={showsArchived.value} onClick={switchArchived}>
          {showsArchived.value ? "Back to all rooms" : "Archived rooms"}
        </button>
        <ImportButton />
        <a href={`${baseUrl}/docs`}>API reference</a>
      </div>
      <AccountButton />
    </nav>
  )
}

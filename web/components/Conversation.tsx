import { useEffect, useLayoutEffect, useRef } from "preact/hooks"
import { attempt } from "../state/attempt.ts"
import { followsEnd, hasOlder, turns } from "../state/branch.ts"
import { isAnswering, isLoading, loadOlder, stop } from "../state/conversation.ts"
import { hasEnded, messages } from "../state/messages.ts"
import { openRoom, openRoomId } from "../state/rooms.ts"
import { Composer } from "./Composer.tsx"
import { RoomHeader } from "./RoomHeader.tsx"
import { Turn } from "./Turn.tsx"
import { Welcome } from "./Welcome.tsx"

const nearEnd = 120

/** Keeps the newest text in view, unless the user has scrolled up to read. */
const useFollowing = () => {
  const list = useRef<HTMLDivElement>(null)
  const onScroll = () => {
    const element = list.current
    if (element !== null) followsEnd.value = element.scrollHeight - element.scrollTop - element.clientHeight < nearEnd
  }
  const goToEnd = () => {
    if (followsEnd.peek() && list.current !== null) list.current.scrollTop = list.current.scrollHeight
  }
  useLayoutEffect(goToEnd, [messages.value])
  // The text also changes its height when a panel opens or code is highlighted.
  useEffect(() => {
    const observer = new ResizeObserver(goToEnd)
    for (const element of [list.current, list.current?.firstElementChild]) if (element) observer.observe(element)
    return () => observer.disconnect()
  }, [openRoomId.value, turns.value.length > 0])
  return { list, onScroll }
}

/** Scrolls to the message that the address names, once it is there. */
const useNamedMessage = () => {
  const named = location.hash.split("/")[1]
  const isThere = named !== undefined && messages.value.has(named)
  useEffect(() => {
    if (isThere) document.querySelector(`[id="m-${named}"]`)?.scrollIntoView({ block: "center" })
  }, [named, isThere])
}

const stopAll = (event: KeyboardEvent): void => {
  if (event.key !== "Escape" || !isAnswering.value || event.defaultPrevented) return
  event.preventDefault()
  const running = [...messages.value.values()].filter((message) => !hasEnded(message))
  for (const reply of running) void attempt(() => stop(reply))
}

const Turns = ({ roomId }: { readonly roomId: string }) => (
  <div class="turns" role="log" aria-label="Conversation">
    {hasOlder.value && (
      <button type="button" class="link" onClick={() => void attempt(() => loadOlder(roomId))}>
        Earlier messages
      </button>
    )}
    {turns.value.map((turn) => (
      // Versions of a question have the same parent: the focus stays when one takes the place of another.
      <Turn key={turn.question.parentId ?? "first"} turn={turn} />
    ))}
  </div>
)

const Loading = () => (
  <div class="turns" role="status" aria-label="Loading the conversation">
    <div class="skeleton short" />
    <div class="skeleton tall" />
  </div>
)

export const Conversation = () => {
  const { list, onScroll } = useFollowing()
  useNamedMessage()
  const roomId = openRoomId.value
  const isEmpty = turns.value.length === 0
  return (
    <div class="conversation" onKeyDown={stopAll}>
      <RoomHeader room={openRoom.value} />
      <div class="scroll" ref={list} onScroll={onScroll} tabIndex={-1}>
        {roomId === undefined || (isEmpty && !isLoading.value) ? <Welcome /> : isEmpty ? <Loading /> : <Turns roomId={roomId} />}
      </div>
      <Composer />
    </div>
  )
}

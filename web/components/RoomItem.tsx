import { showsRooms } from "../state/panels.ts"
import { openRoomId, type Room } from "../state/rooms.ts"
import { Icon } from "./Icon.tsx"
import { RoomMenu } from "./RoomMenu.tsx"

export const RoomItem = ({ room }: { readonly room: Room }) => {
  const isOpen = openRoomId.value === room.id
  return (
    <li class={`room ${isOpen ? "open" : ""}`}>
      <a href={`#${room.id}`} aria-current={isOpen ? "page" : undefined} onClick={() => (showsRooms.value = false)}>
        {room.pinned && <Icon name="pin" />}
        <span class="room-title">{room.title}</span>
        {room.pinned && <span class="visually-hidden"> (pinned)</span>}
      </a>
      <RoomMenu room={room} />
    </li>
  )
}

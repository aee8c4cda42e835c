import { attempt } from "../state/attempt.ts"
import { areRoomsLoaded, loadMoreRooms, nextRooms, rooms, search, showsArchived } from "../state/rooms.ts"
import { RoomItem } from "./RoomItem.tsx"

const emptyText = (): string => {
  if (search.value !== "") return "No room has this in its title."
  return showsArchived.value ? "No archived rooms." : "No rooms yet. Ask a question to open one."
}

export const RoomList = () => {
  if (!areRoomsLoaded.value) {
    return (
      <div class="skeletons" role="status" aria-label="Loading rooms">
        <div class="skeleton" />
        <div class="skeleton" />
        <div class="skeleton" />
      </div>
    )
  }
  return (
    <>
      <h2 class="list-title">{showsArchived.value ? "Archived" : "Rooms"}</h2>
      {rooms.value.length === 0 && <p class="empty">{emptyText()}</p>}
      <ul>
        {rooms.value.map((room) => (
          <RoomItem key={room.id} room={room} />
        ))}
      </ul>
      {nextRooms.value !== null && (
        <button type="button" class="link" onClick={() => void attempt(loadMoreRooms)}>
          More rooms
        </button>
      )}
    </>
  )
}

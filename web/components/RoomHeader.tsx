import { defaultModel, models } from "../state/account.ts"
import { isHttpOpen, openDialog, openHttp, showsRooms } from "../state/panels.ts"
import type { Room } from "../state/rooms.ts"
import { IconButton } from "./IconButton.tsx"

const modelName = (room: Room | undefined): string => {
  const chosen = room?.model ?? defaultModel.value?.id
  return models.value.find(({ id }) => id === chosen)?.name ?? chosen ?? ""
}

export const RoomHeader = ({ room }: { readonly room: Room | undefined }) => (
  <header class="room-header">
    <IconButton
      class="only-small"
      icon="menu"
      label="Rooms"
      aria-expanded={showsRooms.value}
      onClick={() => (showsRooms.value = true)}
    />
    <div class="room-heading">
      <h1>{room?.title ?? "New chat"}</h1>
      <span class="room-model">{modelName(room)}</span>
    </div>
    {room !== undefined && (
      <IconButton icon="settings" label="Room settings" onClick={() => openDialog({ name: "settings", roomId: room.id })} />
    )}
    <button
      type="button"
      class="button http-toggle"
      aria-pressed={isHttpOpen.value}
      onClick={() => (isHttpOpen.value ? (isHttpOpen.value = false) : openHttp())}
    >
      As HTTP
    </button>
  </header>
)

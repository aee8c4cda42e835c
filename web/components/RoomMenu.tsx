import { attempt } from "../state/attempt.ts"
import { openDialog, openHttp } from "../state/panels.ts"
import { changeRoom, exportRoom, type Room } from "../state/rooms.ts"
import { Menu } from "./Menu.tsx"

/** The actions on a room. */
export const RoomMenu = ({ room }: { readonly room: Room }) => {
  const { archivedAt, id, pinned, title } = room
  return (
    <Menu
      label={`Actions for ${title}`}
      items={[
        { icon: "edit", label: "Rename", onSelect: () => openDialog({ name: "rename", roomId: id }) },
        { icon: "pin", label: pinned ? "Unpin" : "Pin", onSelect: () => void attempt(() => changeRoom(id, { pinned: !pinned })) },
        {
          icon: "archive",
          label: archivedAt === null ? "Archive" : "Unarchive",
          onSelect: () => void attempt(() => changeRoom(id, { archived: archivedAt === null }))
        },
        { icon: "share", label: "Share", onSelect: () => openDialog({ name: "share", roomId: id }) },
        { icon: "download", label: "Export", onSelect: () => void attempt(() => exportRoom(room)) },
        { icon: "settings", label: "Settings", onSelect: () => openDialog({ name: "settings", roomId: id }) },
        { icon: "trash", label: "Delete", onSelect: () => openDialog({ name: "delete", roomId: id }) },
        {
          icon: "code",
          label: "As HTTP",
          onSelect: () =>
            openHttp({
              label: title,
              about: id,
              operations: ["PATCH /chatroom/:id", "DELETE /chatroom/:id", "GET /chatroom/:id", "POST /chatroom/:id/export-ticket"]
            })
        }
      ]}
    />
  )
}

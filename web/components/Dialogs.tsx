import { dialog } from "../state/panels.ts"
import { rooms } from "../state/rooms.ts"
import { Account } from "./Account.tsx"
import { DeleteRoom } from "./DeleteRoom.tsx"
import { Receipt } from "./Receipt.tsx"
import { RenameRoom } from "./RenameRoom.tsx"
import { RoomSettings } from "./RoomSettings.tsx"
import { ShareRoom } from "./ShareRoom.tsx"

/** The dialog that is open, if there is one. */
export const Dialogs = () => {
  const open = dialog.value
  if (open === undefined) return null
  if (open.name === "account") return <Account tab={open.tab} />
  if (open.name === "receipt") return <Receipt replyId={open.replyId} />
  const room = rooms.value.find(({ id }) => id === open.roomId)
  if (room === undefined) return null
  if (open.name === "rename") return <RenameRoom room={room} />
  if (open.name === "delete") return <DeleteRoom room={room} />
  if (open.name === "share") return <ShareRoom room={room} />
  return <RoomSettings room={room} />
}

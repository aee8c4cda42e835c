import { attempt } from "../state/attempt.ts"
import { closeDialog } from "../state/panels.ts"
import { deleteRoom, type Room } from "../state/rooms.ts"
import { Dialog } from "./Dialog.tsx"

export const DeleteRoom = ({ room: { id, title } }: { readonly room: Room }) => (
  <Dialog title="Delete the room?">
    <p>“{title}” and all its messages are deleted, and a reply that is being written is stopped. This cannot be undone.</p>
    <div class="dialog-actions">
      <button type="button" class="button" onClick={closeDialog}>
        Keep it
      </button>
      <button type="button" class="button danger" onClick={() => void attempt(() => deleteRoom(id)).then(closeDialog)}>
        Delete
      </button>
    </div>
  </Dialog>
)

import { useSignal } from "@preact/signals"
import { attempt } from "../state/attempt.ts"
import { closeDialog } from "../state/panels.ts"
import { changeRoom, type Room } from "../state/rooms.ts"
import { Dialog } from "./Dialog.tsx"
import { Field } from "./Field.tsx"

const longest = 120

export const RenameRoom = ({ room: { id, title } }: { readonly room: Room }) => {
  const text = useSignal(title)
  const rename = async (to: string | null) => {
    await attempt(() => changeRoom(id, { title: to }))
    closeDialog()
  }
  return (
    <Dialog title="Rename the room">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void rename(text.value)
        }}
      >
        <Field
          label="Title"
          name="title"
          maxLength={longest}
          isRequired
          isFocused
          value={text.value}
          onInput={(value) => (text.value = value)}
        />
        <div class="dialog-actions">
          <button type="button" class="button" onClick={() => void rename(null)}>
            Automatic title
          </button>
          <button type="submit" class="button main">
            Rename
          </button>
        </div>
      </form>
    </Dialog>
  )
}

import { useSignal } from "@preact/signals"
import { attempt } from "../state/attempt.ts"
import type { Room } from "../state/rooms.ts"
import { type NewShare, shareRoom } from "../state/shares.ts"
import { counted } from "../text/format.ts"
import { CodeBlock } from "./CodeBlock.tsx"
import { Dialog } from "./Dialog.tsx"
import { HttpButton } from "./HttpButton.tsx"
import { Select } from "./Select.tsx"

const day = 86_400
const lives = [
  { value: String(7 * day), label: "7 days", isDisabled: false },
  { value: String(30 * day), label: "30 days", isDisabled: false },
  { value: "", label: "Until it is revoked", isDisabled: false }
]

/** Makes a link to the conversation as it is now. The server tells its address only once. */
export const ShareRoom = ({ room }: { readonly room: Room }) => {
  const life = useSignal(String(7 * day))
  const hasFiles = useSignal(false)
  const share = useSignal<NewShare | undefined>(undefined)
  const make = async () => {
    const expiresIn = life.value === "" ? null : Number(life.value)
    share.value = await attempt(() => shareRoom(room.id, { expiresIn, attachments: hasFiles.value }))
  }
  return (
    <Dialog title="Share the conversation">
      {share.value === undefined ? (
        <form
          onSubmit={(event) => {
            event.preventDefault()
            void make()
          }}
        >
          <p class="gap">
            Everyone with the link can read the questions and replies that “{room.title}” has now. What is asked later is not
            shown.
          </p>
          <Select label="The link ends after" value={life.value} choices={lives} onChange={(value) => (life.value = value)} />
          <label class="check">
            <input
              type="checkbox"
              checked={hasFiles.value}
              onChange={(event) => (hasFiles.value = event.currentTarget.checked)}
            />
            Also show the files of the questions
          </label>
          <div class="dialog-actions">
            <HttpButton label="shared links" operations={["POST /chatroom/:id/share", "GET /shares", "DELETE /shares/:id"]} />
            <button type="submit" class="button main">
              Make a link
            </button>
          </div>
        </form>
      ) : (
        <>
          <p role="status">The link shows {counted(share.value.messages, "message")}. It is shown only here.</p>
          <CodeBlock language="link" text={share.value.url} />
          <p class="hint">Account → Links lists your links and can revoke them.</p>
        </>
      )}
    </Dialog>
  )
}

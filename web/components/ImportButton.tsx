import { useRef } from "preact/hooks"
import { attempt } from "../state/attempt.ts"
import { importRoom } from "../state/rooms.ts"
import { HttpButton } from "./HttpButton.tsx"

/** Makes a room of the export of one. */
export const ImportButton = () => {
  const input = useRef<HTMLInputElement>(null)
  return (
    <span class="row">
      <input
        ref={input}
        type="file"
        hidden
        accept="application/json,.json"
        onChange={({ currentTarget }) => {
          const [file] = currentTarget.files ?? []
          if (file !== undefined) void attempt(() => importRoom(file))
          // The same file can be chosen again.
          currentTarget.value = ""
        }}
      />
      <button type="button" class="link" onClick={() => input.current?.click()}>
        Import a room
      </button>
      <HttpButton label="import" operations={["POST /chatroom/import"]} />
    </span>
  )
}

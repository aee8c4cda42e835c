import { useRef } from "preact/hooks"
import { addFiles } from "../state/files.ts"
import { IconButton } from "./IconButton.tsx"

const accepted = "image/png,image/jpeg,image/webp,image/heic,image/heif,application/pdf,audio/*,text/*,application/json"

/** Opens the browser's choice of files. "All files" in it brings others, which the server judges. */
export const AttachButton = () => {
  const input = useRef<HTMLInputElement>(null)
  return (
    <>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        accept={accepted}
        onChange={({ currentTarget }) => {
          addFiles(currentTarget.files ?? [])
          // The same file can be chosen again.
          currentTarget.value = ""
        }}
      />
      <IconButton icon="attach" label="Attach files" onClick={() => input.current?.click()} />
    </>
  )
}

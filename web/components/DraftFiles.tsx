import { useSignal } from "@preact/signals"
import { type DraftFile, draftFiles, removeFile } from "../state/files.ts"
import { FileLine } from "./FileLine.tsx"
import { HttpButton } from "./HttpButton.tsx"
import { IconButton } from "./IconButton.tsx"

const remove = (key: number) => () => {
  removeFile(key)
  // The button is gone with its file.
  document.querySelector<HTMLElement>("#question")?.focus()
}

const Item = ({ file: { file, id, key, preview, refusal } }: { readonly file: DraftFile }) => {
  // Some browsers cannot show every kind of picture.
  const isShown = useSignal(preview !== undefined)
  const isBusy = id === undefined && refusal === undefined
  return (
    <li class={refusal === undefined ? "draft-file" : "draft-file refused"} aria-busy={isBusy}>
      {isShown.value && <img src={preview} alt="" onError={() => (isShown.value = false)} />}
      <FileLine name={file.name} bytes={file.size}>
        {isBusy && (
          <span class="hint">
            <span class="dots" aria-hidden="true" />
            Uploading
          </span>
        )}
        <IconButton icon="close" label={`Remove ${file.name}`} onClick={remove(key)} />
      </FileLine>
      {refusal !== undefined && <p class="field-error">Not attached. {refusal}</p>}
    </li>
  )
}

/** The files of the question that is being written. */
export const DraftFiles = () => {
  if (draftFiles.value.length === 0) return null
  return (
    <div class="draft-files">
      <ul aria-label="Files of your question">
        {draftFiles.value.map((file) => (
          <Item key={file.key} file={file} />
        ))}
      </ul>
      <HttpButton label="attach files" operations={["POST /files"]} />
    </div>
  )
}

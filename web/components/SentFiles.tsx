import { attempt } from "../state/attempt.ts"
import { downloadFile, isPicture, type SentFile } from "../state/files.ts"
import { FileLine } from "./FileLine.tsx"
import { HttpButton } from "./HttpButton.tsx"
import { IconButton } from "./IconButton.tsx"
import { useContent } from "./useContent.ts"

interface Props {
  readonly file: SentFile
}

const Named = ({ file }: Props) => (
  <FileLine name={file.name} bytes={file.bytes}>
    <IconButton icon="download" label={`Download ${file.name}`} onClick={() => void attempt(() => downloadFile(file))} />
  </FileLine>
)

const Picture = ({ file }: Props) => {
  const address = useContent(file.id)
  if (address.value === undefined) return <div class="skeleton picture" role="status" aria-label={`Loading ${file.name}`} />
  if (address.value === null) return <Named file={file} />
  return <img src={address.value} alt={file.name} onError={() => (address.value = null)} />
}

const Item = ({ file }: Props) => {
  if (file.deleted) return <span class="hint">{file.name} was deleted</span>
  return isPicture(file.type) ? <Picture file={file} /> : <Named file={file} />
}

/** The files of a question. */
export const SentFiles = ({ files }: { readonly files: ReadonlyArray<SentFile> }) => {
  if (files.length === 0) return null
  return (
    <div class="sent-files">
      <ul aria-label="Files">
        {files.map((file) => (
          <li key={file.id}>
            <Item file={file} />
          </li>
        ))}
      </ul>
      <HttpButton label="files" operations={["GET /files/:id/content", "POST /files/:id/content-ticket"]} />
    </div>
  )
}

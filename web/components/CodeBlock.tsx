import { useSignal } from "@preact/signals"
import { announce } from "../state/announcements.ts"
import { copyText } from "../state/clipboard.ts"

interface Props {
  readonly language: string
  readonly text: string
  /** Whether it shows its first lines and scrolls. */
  readonly isShort?: boolean
}

/** Text of a fixed width that can be copied. */
export const CodeBlock = ({ isShort = false, language, text }: Props) => {
  const isCopied = useSignal(false)
  const copy = async () => {
    await copyText(text)
    isCopied.value = true
    announce("Copied")
    setTimeout(() => (isCopied.value = false), 2_000)
  }
  return (
    <figure class={isShort ? "code short" : "code"}>
      <figcaption>
        <span>{language}</span>
        <button type="button" class="copy" onClick={() => void copy()}>
          {isCopied.value ? "Copied" : "Copy"}
        </button>
      </figcaption>
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </figure>
  )
}

import type { ComponentChildren } from "preact"
import { useEffect, useId, useRef } from "preact/hooks"
import { closeDialog, dialog } from "../state/panels.ts"
import { IconButton } from "./IconButton.tsx"

interface Props {
  readonly title: string
  readonly children: ComponentChildren
  readonly isWide?: boolean
}

/** A modal dialog: the browser keeps the focus in it, and Escape or a click beside it closes it. */
export const Dialog = ({ children, isWide = false, title }: Props) => {
  const element = useRef<HTMLDialogElement>(null)
  const heading = useId()
  const own = dialog.value
  // First the element, which gives the focus back to where it was.
  const close = () => {
    element.current?.close()
    closeDialog()
  }
  const onCancel = (event: Event) => {
    event.preventDefault()
    close()
  }
  // The event comes after the closing: by then another dialog may be open.
  const onClose = () => {
    if (dialog.peek() === own) closeDialog()
  }
  useEffect(() => element.current?.showModal(), [])
  return (
    <dialog
      ref={element}
      class={isWide ? "dialog wide" : "dialog"}
      aria-labelledby={heading}
      onCancel={onCancel}
      onClose={onClose}
      onMouseDown={(event) => event.target === element.current && close()}
    >
      <div class="dialog-body">
        <header class="dialog-header">
          <h2 id={heading}>{title}</h2>
          <IconButton icon="close" label="Close" onClick={close} />
        </header>
        {children}
      </div>
    </dialog>
  )
}

import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { attempt } from "../state/attempt.ts"
import { edit } from "../state/conversation.ts"
import { longestQuestion } from "../state/draft.ts"
import type { Message } from "../state/messages.ts"
import { useGrowing } from "./useGrowing.ts"

interface Props {
  readonly question: Message
  readonly onClose: () => void
}

/** A question as a text field. A refused one stays in it. */
export const QuestionEdit = ({ onClose, question }: Props) => {
  const text = useSignal(question.content)
  const isSaving = useSignal(false)
  const field = useGrowing(text.value)
  useEffect(() => {
    field.current?.focus()
    field.current?.setSelectionRange(text.peek().length, text.peek().length)
  }, [])
  const canSave = text.value.trim() !== "" && !isSaving.value
  const save = async () => {
    if (!canSave) return
    isSaving.value = true
    await attempt(() => edit(question, text.value).then(onClose))
    isSaving.value = false
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const isSave = event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing
    if (!isSave && event.key !== "Escape") return
    // Escape would also stop a reply.
    event.preventDefault()
    if (isSave) void save()
    else onClose()
  }
  return (
    <form
      class="question-edit"
      onKeyDown={onKeyDown}
      onSubmit={(event) => {
        event.preventDefault()
        void save()
      }}
    >
      <textarea
        ref={field}
        rows={1}
        maxLength={longestQuestion}
        aria-label="The question in other words"
        value={text.value}
        onInput={(event) => (text.value = event.currentTarget.value)}
      />
      <div class="dialog-actions">
        <button type="button" class="button" onClick={onClose}>
          Cancel
        </button>
        <button type="submit" class="button main" disabled={!canSave}>
          Save
        </button>
      </div>
    </form>
  )
}

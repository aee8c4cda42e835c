import { useSignal } from "@preact/signals"
import { useLayoutEffect, useRef } from "preact/hooks"
import type { Message } from "../state/messages.ts"
import { HttpButton } from "./HttpButton.tsx"
import { IconButton } from "./IconButton.tsx"
import { QuestionEdit } from "./QuestionEdit.tsx"
import { SentFiles } from "./SentFiles.tsx"
import { Versions } from "./Versions.tsx"

/** A question, which can be asked in other words, and its versions. */
export const Question = ({ question }: { readonly question: Message }) => {
  const isEditing = useSignal(false)
  const wasEditing = useRef(false)
  const root = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    // The field is gone: the focus goes back to the button that opened it.
    if (wasEditing.current && !isEditing.value) root.current?.querySelector<HTMLElement>(".edit")?.focus()
    wasEditing.current = isEditing.value
  }, [isEditing.value])
  if (isEditing.value) return <QuestionEdit question={question} onClose={() => (isEditing.value = false)} />
  return (
    <div class="asked" ref={root}>
      <div class="question" id={`m-${question.id}`}>
        <span class="visually-hidden">You asked: </span>
        <SentFiles files={question.attachments} />
        {question.content !== "" && <div class="question-text">{question.content}</div>}
      </div>
      <div class="question-actions">
        <Versions of={question} name="question" />
        <IconButton class="edit" icon="edit" label="Edit the question" onClick={() => (isEditing.value = true)} />
        <HttpButton
          label="edit a question"
          about={question.chatroomId}
          operations={["POST /chatroom/:id/message/:mid/edit", "PATCH /chatroom/:id", "GET /chatroom/:id/messages"]}
        />
      </div>
    </div>
  )
}

import { computed, signal } from "@preact/signals"
import { type Message, messages } from "./messages.ts"

/** The newest message of the branch that is shown. */
export const head = signal<string | undefined>(undefined)

/** Whether the newest text is kept in view. */
export const followsEnd = signal(true)

/** The branch on which the room stands, as far as it is loaded; oldest first. */
const branch = computed<ReadonlyArray<Message>>(() => {
  const path: Array<Message> = []
  let id: string | null | undefined = head.value
  for (let message = messages.value.get(id ?? ""); message !== undefined; message = messages.value.get(id ?? "")) {
    path.unshift(message)
    id = message.parentId
  }
  return path
})

export const oldest = computed(() => branch.value[0])
export const hasOlder = computed(() => (oldest.value?.parentId ?? null) !== null)

/** A question and the reply to it that the branch has. */
export interface Turn {
  readonly question: Message
  readonly reply: Message | undefined
}

export const turns = computed<ReadonlyArray<Turn>>(() =>
  branch.value.flatMap((question, index, { [index + 1]: reply }) => (question.role === "user" ? [{ question, reply }] : []))
)

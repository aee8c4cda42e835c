import { me } from "../state/account.ts"
import { attempt } from "../state/attempt.ts"
import { canSend, draft, longestQuestion, sendDraft, wantsJson } from "../state/draft.ts"
import { isAnswering, stop } from "../state/conversation.ts"
import { addFiles } from "../state/files.ts"
import { hasEnded, messages } from "../state/messages.ts"
import { openDialog } from "../state/panels.ts"
import { openRoomId } from "../state/rooms.ts"
import { until } from "../text/format.ts"
import { AttachButton } from "./AttachButton.tsx"
import { DraftFiles } from "./DraftFiles.tsx"
import { HttpButton } from "./HttpButton.tsx"
import { IconButton } from "./IconButton.tsx"
import { useDrop } from "./useDrop.ts"
import { useGrowing } from "./useGrowing.ts"

const send = (): void => void attempt(sendDraft)

const stopRunning = (): void => {
  const running = [...messages.value.values()].findLast((message) => !hasEnded(message))
  if (running !== undefined) void attempt(() => stop(running))
}

const UsedUp = () => {
  const user = me.value
  if (user?.quota.remaining !== 0) return null
  return (
    <p class="used-up" role="status">
      <span>
        Today's {user.quota.limit} prompts are used. They reset in {until(user.quota.resetsAt)}.
      </span>
      {user.tier === "basic" && (
        <button type="button" class="button main" onClick={() => openDialog({ name: "account", tab: "plan" })}>
          Upgrade to Pro
        </button>
      )}
    </p>
  )
}

export const Composer = () => {
  const field = useGrowing(draft.value)
  const { handlers, isOver } = useDrop(addFiles)
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
    event.preventDefault()
    send()
  }
  return (
    <div class="composer">
      <UsedUp />
      <form
        class={isOver.value ? "composer-box over" : "composer-box"}
        {...handlers}
        onSubmit={(event) => {
          event.preventDefault()
          send()
        }}
      >
        <DraftFiles />
        <textarea
          ref={field}
          id="question"
          rows={1}
          maxLength={longestQuestion}
          aria-label="Your question"
          aria-describedby="question-hint"
          placeholder="Ask something"
          value={draft.value}
          onInput={(event) => (draft.value = event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        <div class="composer-row">
          <AttachButton />
          <button
            type="button"
            class="toggle"
            aria-pressed={wantsJson.value}
            onClick={() => (wantsJson.value = !wantsJson.value)}
          >
            JSON
          </button>
          <span id="question-hint" class="hint">
            Enter sends, Shift and Enter is a new line, Escape stops
          </span>
          <HttpButton
            label="send a question"
            operations={["POST /chatroom/:id/message", "POST /chatroom"]}
            about={openRoomId.value}
          />
          {isAnswering.value ? (
            <IconButton class="round" icon="stop" label="Stop the reply" onClick={stopRunning} />
          ) : (
            <IconButton class="round" icon="send" label="Send" disabled={!canSend.value} onClick={send} />
          )}
        </div>
      </form>
    </div>
  )
}

import { announce } from "../state/announcements.ts"
import { attempt } from "../state/attempt.ts"
import { copyText } from "../state/clipboard.ts"
import { rate, regenerate } from "../state/conversation.ts"
import type { Message } from "../state/messages.ts"
import { openDialog } from "../state/panels.ts"
import { count, money } from "../text/format.ts"
import { HttpButton } from "./HttpButton.tsx"
import { IconButton } from "./IconButton.tsx"
import { Versions } from "./Versions.tsx"

const Rating = ({ reply }: { readonly reply: Message }) => {
  const given = reply.feedback?.rating
  const toggle = (rating: "up" | "down") => () => void attempt(() => rate(reply, given === rating ? null : rating))
  return (
    <>
      <IconButton icon="up" label="Good reply" aria-pressed={given === "up"} onClick={toggle("up")} />
      <IconButton icon="down" label="Bad reply" aria-pressed={given === "down"} onClick={toggle("down")} />
    </>
  )
}

const Facts = ({ reply: { costMicros, model, usage } }: { readonly reply: Message }) => (
  <span class="facts">
    {[
      model,
      usage === null ? undefined : `${count(usage.promptTokens + usage.replyTokens + usage.thoughtTokens)} tokens`,
      costMicros === null ? undefined : money(costMicros)
    ]
      .filter((fact) => fact !== undefined && fact !== null)
      .join(" · ")}
  </span>
)

export const ReplyActions = ({ reply }: { readonly reply: Message }) => (
  <div class="reply-actions">
    <Versions of={reply} name="reply" />
    <IconButton
      icon="copy"
      label="Copy the reply"
      onClick={() => void copyText(reply.content).then(() => announce("Reply copied"))}
    />
    <IconButton icon="refresh" label="Answer again" onClick={() => void attempt(() => regenerate(reply))} />
    <Rating reply={reply} />
    <IconButton
      icon="receipt"
      label="What was sent to the model"
      onClick={() => openDialog({ name: "receipt", replyId: reply.id })}
    />
    <HttpButton
      label="this reply"
      about={reply.id}
      operations={[
        "POST /chatroom/:id/message",
        "GET /chatroom/:id/message/:mid/stream",
        "POST /chatroom/:id/message/:mid/regenerate",
        "POST /chatroom/:id/message/:mid/cancel",
        "PUT /chatroom/:id/message/:mid/feedback",
        "GET /chatroom/:id/message/:mid/context"
      ]}
    />
    <Facts reply={reply} />
  </div>
)

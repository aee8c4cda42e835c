import { lines } from "../state/following.ts"
import { hasEnded, type Message } from "../state/messages.ts"
import { JsonAnswer } from "./JsonAnswer.tsx"
import { Markdown } from "./Markdown.tsx"
import { ReplyActions } from "./ReplyActions.tsx"
import { Sources } from "./Sources.tsx"
import { Thoughts } from "./Thoughts.tsx"

const waitingTexts: Partial<Record<Message["status"], string>> = {
  queued: "Waiting for its turn",
  processing: "Thinking",
  waiting: "The model is busy. The server tries again by itself"
}

const Progress = ({ reply }: { readonly reply: Message }) => {
  const line = lines.value.get(reply.id)
  if (line === "lost") return <p class="line lost">Connection lost. Reconnecting…</p>
  if (line === "resumed") return <p class="line resumed">Connected again. The reply continues where it was cut.</p>
  if (hasEnded(reply) || (reply.content !== "" && reply.status === "processing")) return null
  return (
    <p class="line working">
      <span class="dots" aria-hidden="true" />
      {waitingTexts[reply.status]}
    </p>
  )
}

const Outcome = ({ reply: { error, status, toolsSkipped, truncated } }: { readonly reply: Message }) => (
  <>
    {status === "cancelled" && <p class="outcome">Stopped. The text so far is kept.</p>}
    {truncated && <p class="outcome">The reply was cut: it reached the longest length.</p>}
    {toolsSkipped.length > 0 && <p class="outcome">Made without {toolsSkipped.join(" and ")}: today's searches are used up.</p>}
    {error !== null && (
      <p class="outcome failed">
        <strong>{error.code === "blocked" ? "Blocked. " : "It failed. "}</strong>
        {error.message} {error.code !== "blocked" && "The prompt was refunded."}
      </p>
    )}
  </>
)

export const Reply = ({ reply }: { readonly reply: Message }) => {
  const isRunning = !hasEnded(reply)
  return (
    <div class="reply" id={`m-${reply.id}`} aria-busy={isRunning}>
      <span class="visually-hidden">Reply: </span>
      <Thoughts key={reply.id} reply={reply} />
      {reply.output === null ? <Markdown reply={reply} isRunning={isRunning} /> : <JsonAnswer value={reply.output} />}
      <Progress reply={reply} />
      <Outcome reply={reply} />
      <Sources reply={reply} />
      {!isRunning && <ReplyActions reply={reply} />}
    </div>
  )
}

import { hasEnded, type Message } from "../state/messages.ts"
import { attempt } from "../state/attempt.ts"
import { loadWhole } from "../state/conversation.ts"
import { count } from "../text/format.ts"
import { Icon } from "./Icon.tsx"

/** The model's thoughts, folded. A list of messages leaves them out, so they are loaded when they are opened. */
export const Thoughts = ({ reply }: { readonly reply: Message }) => {
  const { thoughts, usage } = reply
  const tokens = usage?.thoughtTokens ?? 0
  const isKnownEmpty = thoughts === null || thoughts === ""
  if ((thoughts === undefined && tokens === 0) || isKnownEmpty) return null
  const load = (event: Event) => {
    const isOpen = event.currentTarget instanceof HTMLDetailsElement && event.currentTarget.open
    if (isOpen && thoughts === undefined) void attempt(() => loadWhole(reply))
  }
  return (
    <details class="thoughts" onToggle={load}>
      <summary>
        <Icon name="brain" />
        {hasEnded(reply) ? "Thoughts" : "Thinking"}
        {tokens > 0 && <span class="hint"> {count(tokens)} tokens</span>}
      </summary>
      <p>{thoughts ?? "Loading…"}</p>
    </details>
  )
}

import { type ContextReceipt, loadReceipt } from "../state/conversation.ts"
import { messages } from "../state/messages.ts"
import { count, counted } from "../text/format.ts"
import { CodeBlock } from "./CodeBlock.tsx"
import { Dialog } from "./Dialog.tsx"
import { HttpButton } from "./HttpButton.tsx"
import { Loaded } from "./Loaded.tsx"
import { useLoaded } from "./useLoaded.ts"

const reasons: Readonly<Record<string, string>> = {
  budget: "did not fit",
  summarised: "in the summary",
  unanswered: "has no answer",
  failed: "failed",
  cancelled: "was stopped",
  superseded: "another version counts",
  unfinished: "not finished",
  other_branch: "in another branch"
}

const textOf = (id: string): string => messages.value.get(id)?.content ?? id

const Messages = ({ receipt: { dropped, included } }: { readonly receipt: ContextReceipt }) => (
  <ol class="receipt">
    {included.map(({ id, role, tokens }) => (
      <li key={id}>
        <span class="tag">{role === "user" ? "You" : "Model"}</span>
        <span class="receipt-text">{textOf(id)}</span>
        <span class="hint">about {counted(tokens, "token")}</span>
      </li>
    ))}
    {dropped.map(({ id, reason }) => (
      <li key={id} class="dropped">
        <span class="tag">Left out</span>
        <span class="receipt-text">{textOf(id)}</span>
        <span class="hint">{reasons[reason] ?? reason}</span>
      </li>
    ))}
  </ol>
)

/** What was sent to the model for a reply. */
export const Receipt = ({ replyId }: { readonly replyId: string }) => {
  const reply = messages.value.get(replyId)
  const loaded = useLoaded(async () => {
    if (reply === undefined) throw new Error("The reply is not here any more")
    return loadReceipt(reply)
  })
  return (
    <Dialog title="What was sent to the model" isWide>
      <Loaded from={loaded}>
        {(receipt) => (
          <>
            <p class="row">
              <span>
                {count(receipt.promptTokens)} prompt tokens to <strong>{receipt.model}</strong>
              </span>
              <HttpButton label="the receipt" operations={["GET /chatroom/:id/message/:mid/context"]} about={replyId} />
            </p>
            {receipt.systemPrompt !== null && (
              <p>
                <span class="tag">Instructions</span> {receipt.systemPrompt}
              </p>
            )}
            {receipt.summary !== null && (
              <p>
                <span class="tag">Summary</span> {receipt.summary.text}{" "}
                <span class="hint">about {counted(receipt.summary.tokens, "token")}</span>
              </p>
            )}
            <Messages receipt={receipt} />
            <h3>Settings</h3>
            <CodeBlock language="json" text={JSON.stringify(receipt.settings, null, 2)} />
          </>
        )}
      </Loaded>
    </Dialog>
  )
}

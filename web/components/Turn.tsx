import { chosenVersions, type Turn as TurnData } from "../state/conversation.ts"
import { Reply } from "./Reply.tsx"

interface Props {
  readonly turn: TurnData
}

/** A question with the reply to it that is read: the newest, unless the user has chosen another. */
export const Turn = ({ turn: { question, replies } }: Props) => {
  const chosen = chosenVersions.value.get(question.id)
  const reply = replies.find(({ id }) => id === chosen) ?? replies.at(-1)
  return (
    <article class="turn" aria-label={question.content.slice(0, 80)}>
      <div class="question" id={`m-${question.id}`}>
        <span class="visually-hidden">You asked: </span>
        {question.content}
      </div>
      {reply !== undefined && <Reply reply={reply} replies={replies} />}
    </article>
  )
}

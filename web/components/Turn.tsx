import type { Turn as TurnData } from "../state/branch.ts"
import { Question } from "./Question.tsx"
import { Reply } from "./Reply.tsx"

interface Props {
  readonly turn: TurnData
}

/** A question with the reply to it. */
export const Turn = ({ turn: { question, reply } }: Props) => (
  <article class="turn" aria-label={question.content.slice(0, 80) || "Files"}>
    <Question question={question} />
    {reply !== undefined && <Reply reply={reply} />}
  </article>
)

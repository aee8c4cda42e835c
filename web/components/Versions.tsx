import { attempt } from "../state/attempt.ts"
import { moveTo } from "../state/conversation.ts"
import type { Message } from "../state/messages.ts"
import { IconButton } from "./IconButton.tsx"

interface Props {
  readonly of: Message
  readonly name: "question" | "reply"
}

/** Goes through the versions of a message, each with the branch that follows it. */
export const Versions = ({ name, of }: Props) => {
  const { count, index, next, previous } = of.versions
  const go = (version: string | null) => () => version !== null && void attempt(() => moveTo(of, version))
  if (count < 2) return null
  return (
    <div class="versions" role="group" aria-label={`Versions of the ${name}`}>
      {/* Not `disabled`, which would lose the focus at the last version. */}
      <IconButton
        class="back"
        icon="chevron"
        label={`Earlier version of the ${name}`}
        aria-disabled={previous === null}
        onClick={go(previous)}
      />
      <span>
        {index} of {count}
      </span>
      <IconButton icon="chevron" label={`Later version of the ${name}`} aria-disabled={next === null} onClick={go(next)} />
    </div>
  )
}

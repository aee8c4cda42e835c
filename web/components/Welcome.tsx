import { attempt } from "../state/attempt.ts"
import { draft, sendDraft } from "../state/draft.ts"

const suggestions = [
  "Show me what a reply can look like",
  "Explain HTTP caching with an example in TypeScript",
  "Compare queues in Postgres and Redis in a table",
  "Write a haiku about a connection that resumes"
]

export const Welcome = () => (
  <div class="welcome">
    <h2>What would you like to know?</h2>
    <p>Ask anything. The reply streams in while it is written.</p>
    <ul class="suggestions">
      {suggestions.map((text) => (
        <li key={text}>
          <button
            type="button"
            onClick={() => {
              draft.value = text
              void attempt(sendDraft)
            }}
          >
            {text}
          </button>
        </li>
      ))}
    </ul>
  </div>
)

import { baseUrl } from "../api/transport.ts"
import type { HttpFilter } from "../state/panels.ts"
import { CodeBlock } from "./CodeBlock.tsx"

/** What an action will send, before it has sent anything. */
export const HttpSketch = ({ filter }: { readonly filter: HttpFilter }) => (
  <div class="sketch">
    <p class="empty">Not sent yet. The requests of this action, which appear here with their answers:</p>
    {filter.operations.map((operation) => {
      const [method = "", path = ""] = operation.split(" ")
      return (
        <CodeBlock
          key={operation}
          language={operation}
          text={`curl -X ${method} '${baseUrl}${path}' \\\n  -H "authorization: Bearer $TOKEN"`}
        />
      )
    })}
  </div>
)

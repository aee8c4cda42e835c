import { CodeBlock } from "./CodeBlock.tsx"

/** An answer in JSON, with indentation. */
export const JsonAnswer = ({ value }: { readonly value: unknown }) => (
  <CodeBlock language="json" text={JSON.stringify(value, null, 2)} />
)

import type { ComponentChildren } from "preact"
import type { useLoaded } from "./useLoaded.ts"

interface Props<A> {
  readonly from: ReturnType<typeof useLoaded<A>>
  readonly children: (value: A) => ComponentChildren
}

/** What was loaded; until then that it loads, or why it does not. */
export const Loaded = <A,>({ children, from: { error, reload, value } }: Props<A>) => {
  if (value.value !== undefined) return <>{children(value.value)}</>
  if (error.value === undefined) return <div class="skeleton tall" role="status" aria-label="Loading" />
  return (
    <p class="outcome failed" role="alert">
      {error.value}{" "}
      <button type="button" class="link" onClick={() => void reload()}>
        Try again
      </button>
    </p>
  )
}

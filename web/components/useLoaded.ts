import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { messageOf } from "../api/problem.ts"

/** Loads a value when the component appears. */
export const useLoaded = <A>(load: () => Promise<A>) => {
  const value = useSignal<A | undefined>(undefined)
  const error = useSignal<string | undefined>(undefined)
  const reload = async () => {
    try {
      value.value = await load()
      error.value = undefined
    } catch (failure) {
      error.value = messageOf(failure)
    }
  }
  useEffect(() => void reload(), [])
  return { value, error, reload }
}

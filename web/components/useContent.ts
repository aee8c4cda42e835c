import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import { loadContent } from "../api/files.ts"

/** The bytes of a file as an address for an element; null when they cannot be had. Freed with the component. */
export const useContent = (id: string) => {
  const address = useSignal<string | null | undefined>(undefined)
  useEffect(() => {
    const controller = new AbortController()
    const load = async () => {
      try {
        const bytes = await loadContent(id, controller.signal)
        if (!controller.signal.aborted) address.value = URL.createObjectURL(bytes)
      } catch {
        if (!controller.signal.aborted) address.value = null
      }
    }
    void load()
    return () => {
      controller.abort()
      if (typeof address.peek() === "string") URL.revokeObjectURL(address.peek() ?? "")
      address.value = undefined
    }
  }, [id])
  return address
}

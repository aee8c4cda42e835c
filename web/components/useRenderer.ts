import { signal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import type { Renderer } from "../text/markdown.ts"

const renderer = signal<Renderer | undefined>(undefined)
let isAsked = false
const load = (): void => {
  if (isAsked) return
  isAsked = true
  void import("../text/markdown.ts").then((loaded) => (renderer.value = loaded.renderer))
}

/** The renderer of Markdown, which the first component that needs it loads. */
export const useRenderer = (): Renderer | undefined => {
  useEffect(load, [])
  return renderer.value
}

import { signal } from "@preact/signals"

/** What a screen reader says next, without a change of focus. */
export const announcement = signal("")
export const announce = (text: string): void => {
  announcement.value = text
}

/** A failure or a success that is shown for some seconds, above everything. */
export interface Notice {
  readonly kind: "error" | "done"
  readonly text: string
}

export const notice = signal<Notice | undefined>(undefined)
const shownMillis = 8_000
let timer: ReturnType<typeof setTimeout> | undefined

export const show = (next: Notice | undefined): void => {
  clearTimeout(timer)
  notice.value = next
  if (next !== undefined) timer = setTimeout(() => (notice.value = undefined), shownMillis)
}

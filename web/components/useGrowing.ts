import { useLayoutEffect, useRef } from "preact/hooks"

/** A text field that is as high as its text, up to what the style allows. */
export const useGrowing = (text: string) => {
  const field = useRef<HTMLTextAreaElement>(null)
  useLayoutEffect(() => {
    if (field.current === null) return
    field.current.style.height = "auto"
    field.current.style.height = `${field.current.scrollHeight}px`
  }, [text])
  return field
}

import { useSignal } from "@preact/signals"

/** Takes files that are dragged over an element and dropped there. */
export const useDrop = (take: (files: Iterable<File>) => void) => {
  const isOver = useSignal(false)
  const filesOf = (event: DragEvent) => (event.dataTransfer?.types.includes("Files") === true ? event.dataTransfer.files : undefined)
  const handlers = {
    onDragOver: (event: DragEvent) => {
      if (filesOf(event) === undefined) return
      event.preventDefault()
      isOver.value = true
    },
    onDragLeave: () => {
      isOver.value = false
    },
    onDrop: (event: DragEvent) => {
      const files = filesOf(event)
      isOver.value = false
      if (files === undefined) return
      event.preventDefault()
      take(files)
    }
  }
  return { handlers, isOver }
}

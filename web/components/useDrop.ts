import { useSignal } from "@preact/signals"

/** Takes files that are dragged over an element and dropped there. */
export const useDrop = (take: (files: Iterable<File>) => void) => {
  const isOver = useSignal(false)
  const hasFiles = ({ dataTransfer }: DragEvent) => dataTransfer?.types.includes("Files") === true
  const handlers = {
    onDragOver: (event: DragEvent) => {
      if (!hasFiles(event)) return
      event.preventDefault()
      isOver.value = true
    },
    onDragLeave: () => {
      isOver.value = false
    },
    onDrop: (event: DragEvent) => {
      isOver.value = false
      if (!hasFiles(event)) return
      event.preventDefault()
      take(event.dataTransfer?.files ?? [])
    }
  }
  return { handlers, isOver }
}

import { useLayoutEffect, useMemo, useRef } from "preact/hooks"
import type { Message } from "../state/messages.ts"
import { announce } from "../state/announcements.ts"
import { copyText } from "../state/clipboard.ts"
import type { Renderer } from "../text/markdown.ts"
import { useRenderer } from "./useRenderer.ts"

/** Copies the code of the block whose button was pressed. */
const onClick = ({ target }: MouseEvent): void => {
  if (!(target instanceof HTMLButtonElement) || !target.classList.contains("copy")) return
  const code = target.closest("figure")?.querySelector("code")?.textContent ?? ""
  void copyText(code).then(() => {
    target.textContent = "Copied"
    announce("Code copied")
    setTimeout(() => (target.textContent = "Copy"), 2_000)
  })
}

/** The text with the numbers of its sources behind the parts that rely on them. */
const withMarks = ({ citationMark }: Renderer, { citations, content }: Message): string =>
  citations
    .toReversed()
    .reduce(
      (text, { end, sources }) => text.slice(0, end) + citationMark(sources.map((index) => index + 1)) + text.slice(end),
      content
    )

const Block = ({ block, with: { highlighter, render } }: { readonly block: string; readonly with: Renderer }) => {
  const element = useRef<HTMLDivElement>(null)
  // Drawn again only when its text has changed, or the highlighter is there: a selection in it stays.
  useLayoutEffect(() => {
    element.current?.replaceChildren(render(block))
  }, [block, highlighter.value])
  return <div class="block" ref={element} />
}

interface Props {
  readonly reply: Message
  readonly isRunning: boolean
}

export const Markdown = ({ isRunning, reply }: Props) => {
  const loaded = useRenderer()
  const blocks = useMemo(
    () => (loaded === undefined ? [] : loaded.blocksOf(isRunning ? reply.content : withMarks(loaded, reply))),
    [loaded, reply.content, reply.citations, isRunning]
  )
  if (loaded === undefined) return <div class="markdown plain">{reply.content}</div>
  return (
    <div class={`markdown ${isRunning ? "growing" : ""}`} onClick={onClick}>
      {blocks.map((block, index) => (
        <Block key={index} block={block} with={loaded} />
      ))}
    </div>
  )
}

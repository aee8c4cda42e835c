import type { Message } from "../api/chat/Message.ts"

/** A text of the web as plain text in Markdown, on one line. */
const plain = (text: string): string => text.replaceAll(/\s+/g, " ").replaceAll(/[\\`*_{}[\]()<>#!|~&]/g, String.raw`\$&`)

/** An address between angle brackets, where only these end it. */
const linked = (url: string): string => `<${url.replaceAll(/[<>\\\s]/g, encodeURIComponent)}>`

const marksOf = (sources: ReadonlyArray<number>): string => sources.map((index) => `[${index + 1}]`).join("")

/** The text with a mark like `[1]` behind each cited part, and the sources as a list. */
export const withCitations = ({ citations, content, sources }: Message): string => {
  if (sources.length === 0) return content
  const marks = new Map<number, Set<number>>()
  for (const { end, sources: cited } of citations) {
    const known = marks.get(end) ?? new Set()
    for (const index of cited) known.add(index)
    marks.set(end, known)
  }
  let text = ""
  let from = 0
  for (const [end, cited] of [...marks].toSorted(([one], [other]) => one - other)) {
    text += content.slice(from, end) + marksOf([...cited].toSorted((one, other) => one - other))
    from = end
  }
  const list = sources.map(({ title, url }, index) => `${index + 1}. [${plain(title)}](${linked(url)})`)
  return `${text}${content.slice(from)}\n\n${list.join("\n")}`
}

import { signal } from "@preact/signals"
import DOMPurify from "dompurify"
import { Marked, type Tokens } from "marked"
import type { highlight as Highlight } from "./highlight.ts"

/** Set once a code block has asked for it. */
const highlighter = signal<typeof Highlight | undefined>(undefined)
let isAsked = false

const highlighted = (code: string, language: string): string | undefined => {
  if (highlighter.value !== undefined) return highlighter.value(code, language)
  if (!isAsked) {
    isAsked = true
    void import("./highlight.ts").then(({ highlight }) => (highlighter.value = highlight))
  }
  return undefined
}

const escapes: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" }
const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => escapes[character] ?? character)

const codeBlock = ({ lang = "", text }: Tokens.Code): string => {
  const language = /^[\w+#.-]*/.exec(lang)?.[0] ?? ""
  const body = (language === "" ? undefined : highlighted(text, language.toLowerCase())) ?? escape(text)
  const title = `<figcaption><span>${language === "" ? "text" : language}</span><button type="button" class="copy">Copy</button></figcaption>`
  return `<figure class="code">${title}<pre tabindex="0"><code>${body}</code></pre></figure>`
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    code: codeBlock,
    // The page has a heading of its own above those of a reply.
    heading({ depth, tokens }) {
      const level = Math.min(6, depth + 1)
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`
    },
    // HTML in a reply is shown as text.
    html: ({ text }) => escape(text),
    // An image would be a request to another server.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text === "" ? href : text)}</a>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    table(token) {
      const cells = (row: ReadonlyArray<Tokens.TableCell>, tag: "td" | "th") =>
        row.map(({ tokens }) => `<${tag}>${this.parser.parseInline(tokens)}</${tag}>`).join("")
      const rows = token.rows.map((row) => `<tr>${cells(row, "td")}</tr>`).join("")
      return `<div class="table" tabindex="0"><table><thead><tr>${cells(token.header, "th")}</tr></thead><tbody>${rows}</tbody></table></div>`
    }
  }
})

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A" || node.getAttribute("href")?.startsWith("#") === true) return
  node.setAttribute("target", "_blank")
  node.setAttribute("rel", "noopener noreferrer nofollow")
})

const allowed = {
  ALLOWED_TAGS: [
    ..."a blockquote br button code del div em figcaption figure h2 h3 h4 h5 h6 hr li ol p pre span strong sup".split(" "),
    ..."table tbody td th thead tr ul".split(" ")
  ],
  ALLOWED_ATTR: ["class", "href", "start", "tabindex", "type"],
  RETURN_DOM_FRAGMENT: true as const
}

/** A mark in the text for the numbers of the sources that a part of it relies on; characters that no text contains. */
const opening = "\u{e000}"
const closing = "\u{e001}"
const citationMark = (numbers: ReadonlyArray<number>): string => `${opening}${numbers.join(" ")}${closing}`

const withCitations = (html: string): string =>
  html.replaceAll(/\u{e000}([\d ]+)\u{e001}/gu, (_, numbers: string) => `<sup>${numbers.replaceAll(" ", ", ")}</sup>`)

/** The blocks of a text in Markdown, so that a growing text changes its last block only. */
const blocksOf = (text: string): ReadonlyArray<string> =>
  marked
    .lexer(text)
    .filter(({ type }) => type !== "space")
    .map(({ raw }) => raw)

/** A block as sanitised elements. */
const render = (block: string) => DOMPurify.sanitize(withCitations(marked.parse(block, { async: false })), allowed)

/** HTML of another origin than Markdown, without what could act. */
const sanitise = (html: string) => DOMPurify.sanitize(html, { RETURN_DOM_FRAGMENT: true, FORBID_TAGS: ["style", "form", "img"] })

/** What components use; it is imported as one, when the first of them appears. */
export const renderer = { blocksOf, citationMark, highlighter, render, sanitise }
export type Renderer = typeof renderer

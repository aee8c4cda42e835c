import { createHash } from "node:crypto"
import type { SharedConversation, SharedMessage } from "../api/shares/Share.ts"

const style =
  "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}article{margin:1.5rem 0}h2{font-size:.85rem;color:#666;margin:0}p,li{white-space:pre-wrap;overflow-wrap:anywhere;margin:.25rem 0}"
const styleHash = createHash("sha256").update(style).digest("base64")

/** The page's CSP: blocks everything but its own style. */
export const pagePolicy = `default-src 'none'; style-src 'sha256-${styleHash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`

const escapes: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" }
const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => escapes[character] ?? "")

const isWeb = (url: string): boolean => /^https?:\/\//i.test(url)

const sourcesOf = ({ sources = [] }: SharedMessage): string => {
  const items = sources
    .filter(({ url }) => isWeb(url))
    .map(({ title, url }) => `<li><a href="${escape(url)}" rel="nofollow noopener noreferrer">${escape(title)}</a></li>`)
  return items.length === 0 ? "" : `<ul>${items.join("")}</ul>`
}

const filesOf = ({ attachments = [] }: SharedMessage): string => {
  const items = attachments.map(({ name, type, url }) => {
    const shown = `${escape(name)} (${escape(type)})`
    return `<li>${url === null ? shown : `<a href="${escape(url)}" rel="nofollow">${shown}</a>`}</li>`
  })
  return items.length === 0 ? "" : `<ul>${items.join("")}</ul>`
}

const articleOf = (message: SharedMessage): string => {
  const author = message.role === "user" ? "Question" : (message.model ?? "Model")
  return `<article><h2>${escape(author)}</h2><p>${escape(message.content)}</p>${filesOf(message)}${sourcesOf(message)}</article>`
}

/** The conversation as a page without scripts; `next` is the address of the next page. */
export const pageOf = ({ messages, title }: SharedConversation, next: string | undefined): string => `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<title>${escape(title)}</title><style>${style}</style></head>
<body><h1>${escape(title)}</h1>
${messages.map(articleOf).join("\n")}
${next === undefined ? "" : `<nav><a href="${escape(next)}" rel="next">More</a></nav>`}
</body>
</html>
`

/** Whether a client wants a page: browsers name `text/html` first, programs do not name it. */
export const wantsPage = (accept: string | undefined): boolean => /^\s*text\/html\b/i.test(accept ?? "")

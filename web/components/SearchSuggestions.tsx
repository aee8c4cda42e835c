import { useLayoutEffect, useRef } from "preact/hooks"
import { useRenderer } from "./useRenderer.ts"

const style = /<style[^>]*>([\s\S]*?)<\/style>/g

/**
 * Google's search suggestions, which its terms want shown unchanged. Their style is kept apart from that of the page, and is
 * set by script, because the page allows no inline style.
 */
export const SearchSuggestions = ({ html }: { readonly html: string }) => {
  const host = useRef<HTMLDivElement>(null)
  const renderer = useRenderer()
  useLayoutEffect(() => {
    if (host.current === null || renderer === undefined) return
    const root = host.current.shadowRoot ?? host.current.attachShadow({ mode: "open" })
    root.adoptedStyleSheets = [...html.matchAll(style)].map(([, text = ""]) => {
      const sheet = new CSSStyleSheet()
      sheet.replaceSync(text)
      return sheet
    })
    root.replaceChildren(renderer.sanitise(html.replaceAll(style, "")))
  }, [html, renderer])
  return <div class="suggested" ref={host} />
}

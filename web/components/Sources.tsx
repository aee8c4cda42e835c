import type { Message } from "../state/messages.ts"
import { Icon } from "./Icon.tsx"
import { SearchSuggestions } from "./SearchSuggestions.tsx"

const isWebAddress = (url: string): boolean => /^https?:\/\//i.test(url)

/** What a reply made with tools relies on, in the order of the numbers in its text. */
export const Sources = ({ reply: { searches, searchSuggestions, sources, urls } }: { readonly reply: Message }) => {
  if (sources.length === 0 && searches.length === 0 && urls.length === 0) return null
  return (
    <section class="sources" aria-label="Sources">
      {searches.length > 0 && (
        <p class="hint">
          <Icon name="globe" /> Searched for {searches.map((query) => `“${query}”`).join(", ")}
        </p>
      )}
      <ol>
        {sources.map(({ domain, title, url }, index) => (
          <li key={url}>
            <span class="number">{index + 1}</span>
            {isWebAddress(url) ? (
              <a href={url} target="_blank" rel="noopener noreferrer nofollow">
                {title}
              </a>
            ) : (
              title
            )}
            {domain !== null && domain !== title && <span class="hint"> {domain}</span>}
          </li>
        ))}
      </ol>
      {urls.map(({ status, url }) => (
        <p key={url} class="hint">
          Read {url}: {status}
        </p>
      ))}
      {searchSuggestions !== null && <SearchSuggestions html={searchSuggestions} />}
    </section>
  )
}

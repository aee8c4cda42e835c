import { useSignal } from "@preact/signals"
import type { Exchange } from "../api/exchanges.ts"
import { httpFilter, isHttpOpen, openHttp, shownExchanges } from "../state/panels.ts"
import { ExchangeView } from "./ExchangeView.tsx"
import { HttpSketch } from "./HttpSketch.tsx"
import { IconButton } from "./IconButton.tsx"

const statusOf = ({ status }: Exchange): { readonly text: string; readonly kind: string } => {
  if (status === undefined) return { text: "…", kind: "open" }
  if (status === 0) return { text: "lost", kind: "bad" }
  return { text: String(status), kind: status < 400 ? "good" : "bad" }
}

const Item = ({
  exchange,
  isOpen,
  onToggle
}: {
  readonly exchange: Exchange
  readonly isOpen: boolean
  readonly onToggle: () => void
}) => {
  const { kind, text } = statusOf(exchange)
  return (
    <li>
      <button type="button" class="exchange" aria-expanded={isOpen} onClick={onToggle}>
        <span class={`method ${exchange.method}`}>{exchange.method}</span>
        <span class="path">{exchange.operation.split(" ")[1]}</span>
        <span class={`status ${kind}`}>{text}</span>
        <span class="hint">{exchange.millis === undefined ? "" : `${exchange.millis} ms`}</span>
      </button>
      {isOpen && <ExchangeView exchange={exchange} />}
    </li>
  )
}

/** The requests of this page as a client's developer would send them, with the server's answers. */
export const HttpPanel = () => {
  const chosen = useSignal<number | undefined>(undefined)
  const list = shownExchanges.value
  const filter = httpFilter.value
  // The newest is open until the user opens another.
  const open = list.some(({ number }) => number === chosen.value) || chosen.value === -1 ? chosen.value : list[0]?.number
  return (
    <aside class="http-panel" aria-label="As HTTP">
      <header class="panel-header">
        <h2>As HTTP</h2>
        {filter !== undefined && (
          <button type="button" class="filter" onClick={() => openHttp()}>
            {filter.label}, show all
          </button>
        )}
        <IconButton icon="close" label="Close the panel" onClick={() => (isHttpOpen.value = false)} />
      </header>
      <div class="panel-body" tabIndex={-1}>
        {list.length === 0 && (filter === undefined ? <p class="empty">No request yet.</p> : <HttpSketch filter={filter} />)}
        <ol>
          {list.map((exchange) => (
            <Item
              key={exchange.number}
              exchange={exchange}
              isOpen={exchange.number === open}
              onToggle={() => (chosen.value = exchange.number === open ? -1 : exchange.number)}
            />
          ))}
        </ol>
      </div>
    </aside>
  )
}

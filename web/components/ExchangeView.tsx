import { curlOf, shownBody } from "../api/curl.ts"
import type { Exchange } from "../api/exchanges.ts"
import { pretty } from "../text/format.ts"
import { CodeBlock } from "./CodeBlock.tsx"

/** The headers that say the most come first. */
const first = [
  "content-type",
  "location",
  "etag",
  "ratelimit-policy",
  "ratelimit",
  "retry-after",
  "cache-control",
  "x-request-id"
]
const rank = (name: string): number => (first.includes(name) ? first.indexOf(name) : first.length)

const headersOf = ({ answerHeaders, status }: Exchange): string =>
  [`HTTP ${status}`, ...answerHeaders.toSorted(([a], [b]) => rank(a) - rank(b)).map(([name, value]) => `${name}: ${value}`)].join(
    "\n"
  )

const Answer = ({ exchange }: { readonly exchange: Exchange }) => {
  if (exchange.status === undefined) return <p class="empty">Waiting for the answer</p>
  if (exchange.status === 0) return <p class="empty">No answer: the connection was lost</p>
  return (
    <>
      <CodeBlock language="answer: headers" text={headersOf(exchange)} isShort />
      {exchange.answer !== "" && <CodeBlock language="answer: body" text={pretty(shownBody(exchange.answer))} />}
    </>
  )
}

export const ExchangeView = ({ exchange }: { readonly exchange: Exchange }) => (
  <div class="exchange-view">
    <CodeBlock language="request" text={curlOf(exchange)} />
    <Answer exchange={exchange} />
  </div>
)

import { once } from "node:events"
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"

/** A value of an attribute, as OTLP writes it in JSON. */
interface AnyValue {
  readonly stringValue?: string
  readonly intValue?: number | string
  readonly doubleValue?: number
  readonly boolValue?: boolean
  readonly arrayValue?: { readonly values: ReadonlyArray<AnyValue> }
}
type Attributes = ReadonlyArray<{ readonly key: string; readonly value: AnyValue }>

/** Names of the kinds of spans, by their numbers in OTLP. */
const kinds = ["unspecified", "internal", "server", "client", "producer", "consumer"]

export interface CollectedSpan {
  readonly name: string
  readonly kind: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
  /** The resource that sent it. */
  readonly resource: Readonly<Record<string, unknown>>
}

interface Sent {
  readonly resourceSpans: ReadonlyArray<{
    readonly resource: { readonly attributes: Attributes }
    readonly scopeSpans: ReadonlyArray<{
      readonly spans: ReadonlyArray<{
        readonly name: string
        readonly kind: number
        readonly traceId: string
        readonly spanId: string
        readonly parentSpanId?: string
        readonly attributes: Attributes
      }>
    }>
  }>
}

const valueOf = ({ arrayValue, boolValue, doubleValue, intValue, stringValue }: AnyValue): unknown =>
  arrayValue?.values.map(valueOf) ?? stringValue ?? (intValue === undefined ? (doubleValue ?? boolValue) : Number(intValue))
const recordOf = (attributes: Attributes) => Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]))

/** An OpenTelemetry collector: takes traces as OTLP in JSON over HTTP. */
export const startCollector = async () => {
  const received: Array<{ readonly path: string | undefined; readonly headers: IncomingHttpHeaders; readonly body: string }> = []
  const server = createServer((request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (text) => (body += text))
    request.on("end", () => {
      received.push({ path: request.url, headers: request.headers, body })
      response.writeHead(200, { "content-type": "application/json" }).end("{}")
    })
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  const spans = (): ReadonlyArray<CollectedSpan> =>
    received.flatMap(({ body }) => {
      const sent: Sent = JSON.parse(body)
      return sent.resourceSpans.flatMap(({ resource, scopeSpans }) =>
        scopeSpans.flatMap(({ spans }) =>
          spans.map(({ attributes, kind, name, parentSpanId, spanId, traceId }) => ({
            name,
            kind: kinds[kind] ?? "",
            traceId,
            spanId,
            parentSpanId,
            attributes: recordOf(attributes),
            resource: recordOf(resource.attributes)
          }))
        )
      )
    })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    spans,
    stop: () => void server.close().closeAllConnections()
  }
}

import { once } from "node:events"
import { createServer, type IncomingHttpHeaders, request as forward } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend, startProcess } from "../support/Backend.ts"
import { type Person, personAt, request } from "../support/Client.ts"
import { type CollectedSpan, startCollector } from "../support/Collector.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { newUser } from "../support/Users.ts"
import { until } from "../support/wait.ts"

/** A model that shows the headers of its requests; a simulator behind it answers. */
const startRecorder = async (gemini: GeminiSimulator) => {
  const seen: Array<IncomingHttpHeaders> = []
  const server = createServer((incoming, outgoing) => {
    seen.push(incoming.headers)
    const onward = forward(new URL(incoming.url ?? "", gemini.url), { method: incoming.method, headers: incoming.headers })
    onward.on("response", (answer) => answer.pipe(outgoing.writeHead(answer.statusCode ?? 502, answer.headers)))
    incoming.pipe(onward)
  })
  await once(server.listen(0, "127.0.0.1"), "listening")
  return {
    seen,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => void server.close().closeAllConnections()
  }
}

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
const callerSpan = "00f067aa0ba902b7"
const unsampledId = "11112222333344445555666677778888"
const collectorKey = "key-of-the-collector"

describe("a trace", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let recorder: Awaited<ReturnType<typeof startRecorder>>
  let collector: Awaited<ReturnType<typeof startCollector>>
  let person: Person
  let spans: ReadonlyArray<CollectedSpan>
  let settings: Record<string, string> & { DATABASE_URL: string }

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 1 })
    recorder = await startRecorder(gemini)
    collector = await startCollector()
    settings = {
      DATABASE_URL: database.url,
      GEMINI_BASE_URL: recorder.url,
      AUTO_TITLES: "model",
      LOG_LEVEL: "none",
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${collectorKey}`,
      OTEL_SERVICE_NAME: "traced chat",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=tests"
    }
    const api = await startBackend({ ...settings, ROLE: "api" })
    const worker = await startBackend({ ...settings, ROLE: "worker" })
    person = await newUser(api.url, database)
    const path = `/chatroom/${await person.room()}/message?wait=20&unsearchable=1`
    const sent = await person.call(
      "POST",
      path,
      { content: "[[say Unspeakable.]] unmentionable" },
      { traceparent: `00-${traceId}-${callerSpan}-01`, "x-request-id": "request-of-the-trace" }
    )
    assert.strictEqual(sent.body.reply.content, "Unspeakable.")
    const other = await person.ask(await person.room(), "[[say Later.]]", { wait: 20 })
    assert.strictEqual(other.status, 201)
    await person.call("GET", "/user/me", undefined, { traceparent: `00-${unsampledId}-${callerSpan}-00` })
    // A failure of Postgres that repeats the user's words.
    await database.query(`create function shout() returns trigger language plpgsql as $$
      begin raise exception 'no room for %', new.title; end $$`)
    await database.query("create trigger shout before update of title on chatrooms for each row execute function shout()")
    const failed = await person.call("PATCH", `/chatroom/${await person.room()}`, { title: "Unprintable" })
    assert.strictEqual(failed.status, 500)
    // Stopping sends the buffered spans.
    await Promise.all([api.stop(), worker.stop()])
    spans = collector.spans()
  })
  afterAll(async () => {
    recorder.stop()
    collector.stop()
    await gemini.stop()
    await database.drop()
  })

  const ofTrace = (id: string) => spans.filter((span) => span.traceId === id)
  const named = (name: string) => {
    const [span] = ofTrace(traceId).filter((span) => span.name === name)
    if (span === undefined) throw new Error(`no ${name} among ${ofTrace(traceId).map(({ name }) => name)}`)
    return span
  }
  /** The names of the spans that a span is in, the outermost last. */
  const pathOf = (span: CollectedSpan): ReadonlyArray<string> => {
    const parent = spans.find(({ spanId }) => spanId === span.parentSpanId)
    return parent === undefined ? [span.name] : [span.name, ...pathOf(parent)]
  }

  it("leads from the caller through the request and the job to the model", () => {
    const server = named("POST /chatroom/:id/message")
    assert.deepInclude(server, { kind: "server", parentSpanId: callerSpan })
    assert.deepInclude(server.attributes, {
      "http.route": "/chatroom/:id/message",
      "http.response.status_code": 201,
      "http.response.header.x-request-id": ["request-of-the-trace"]
    })
    const job = named("ReplyMaker.attempt")
    assert.strictEqual(job.kind, "consumer")
    assert.deepInclude(job.attributes, { "messaging.operation.type": "process", "messaging.destination.name": "reply" })
    assert.strictEqual(pathOf(job).at(-1), server.name)
    const call = named("chat gemini-3.8-flash")
    assert.strictEqual(call.kind, "client")
    assert.include(pathOf(call), job.name)
    assert.deepInclude(call.attributes, {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "gcp.gemini",
      "gen_ai.request.model": "gemini-3.8-flash",
      "gen_ai.response.finish_reasons": ["STOP"]
    })
    assert.isAbove(Number(call.attributes["gen_ai.usage.input_tokens"]), 0)
    assert.isAbove(Number(call.attributes["gen_ai.usage.output_tokens"]), 0)
    // Seconds.
    assert.isAbove(Number(call.attributes["gen_ai.response.time_to_first_chunk"]), 0)
    assert.isBelow(Number(call.attributes["gen_ai.response.time_to_first_chunk"]), 30)
    assert.include(pathOf(named("TitleMaker.make")), server.name)
  })

  it("is handed on to the model", () => {
    const call = named("chat gemini-3.8-flash")
    assert.include(
      recorder.seen.map(({ traceparent }) => traceparent),
      `00-${traceId}-${call.spanId}-01`
    )
  })

  it("names statements by their operation and the database", () => {
    const name = new URL(database.url).pathname.slice(1)
    const statements = ofTrace(traceId).filter(({ attributes }) => attributes["db.system.name"] === "postgresql")
    assert.isNotEmpty(statements)
    for (const { attributes, kind, name: span } of statements.filter(({ attributes }) => "db.query.text" in attributes)) {
      assert.strictEqual(kind, "client")
      assert.strictEqual(span, `${attributes["db.operation.name"]} ${name}`)
      assert.deepInclude(attributes, { "db.namespace": name, "server.port": Number(new URL(database.url).port) })
    }
  })

  it("has one root for each request and job, and none for the upkeep of a process", () => {
    const roots = spans.filter(({ parentSpanId }) => parentSpanId === undefined)
    assert.isNotEmpty(roots)
    for (const { kind, name } of roots) assert.include(["server", "consumer"], kind, name)
  })

  it("is not sent when the caller does not sample it", () => {
    assert.isEmpty(ofTrace(unsampledId))
  })

  it("names the sender, and sends the collector's headers", () => {
    for (const { headers, path } of collector.received) {
      assert.strictEqual(path, "/v1/traces")
      assert.strictEqual(headers.authorization, `Bearer ${collectorKey}`)
    }
    assert.sameMembers([...new Set(spans.map(({ resource }) => resource["service.role"]))], ["api", "worker"])
    for (const { resource } of spans)
      assert.deepInclude(resource, { "service.name": "traced chat", "deployment.environment.name": "tests" })
  })

  it("has the kind of an error and none of its words", () => {
    const failed = spans.filter(({ attributes }) => attributes["error.type"] !== undefined)
    assert.isNotEmpty(failed)
    assert.include(failed.map(({ attributes }) => String(attributes["error.type"])).join(), "P0001")
  })

  it("holds no word of the user, no answer and no secret", () => {
    const all = collector.received.map(({ body }) => body).join("\n")
    const words = ["Unspeakable", "unmentionable", "unsearchable", "Unprintable", person.token, person.mobile, collectorKey]
    for (const word of words) assert.notInclude(all, word)
  })

  it("is named in the lines of the log", async () => {
    await database.query("drop trigger shout on chatrooms")
    const process = await startProcess({ ...settings, GEMINI_BASE_URL: gemini.url, LOG_LEVEL: "info", REQUEST_LOG: "all" })
    try {
      await process.started()
      const id = "aaaabbbbccccddddeeeeffff00001111"
      const known = personAt(process.url, person)
      const headers = { traceparent: `00-${id}-${callerSpan}-01`, "x-request-id": "request-of-the-log-test" }
      assert.strictEqual((await known.call("GET", "/chatroom", undefined, headers)).status, 200)
      const line = () => process.output().match(/.*GET \/chatroom 200 .*/)?.[0] ?? ""
      await until("the request is logged", async () => line() !== "")
      assert.include(line(), `trace_id=${id}`)
      assert.include(line(), "requestId=request-of-the-log-test")
      assert.strictEqual((await request(process.url, "GET", "/healthz")).status, 200)
      assert.notInclude(process.output(), "/healthz")
    } finally {
      await process.kill("SIGTERM")
    }
  })
})

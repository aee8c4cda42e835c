import { EventEmitter } from "node:events"
import { IncomingMessage, ServerResponse } from "node:http"
import { Socket } from "node:net"
import { describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { assert } from "vitest"
import { AppConfig } from "../../src/config/Settings.ts"
import { identify, identifyUser } from "../../src/ops/RequestIdentity.ts"
import { RefusalCounts } from "../../src/server/RefusalCounts.ts"
import { RequestObserver } from "../../src/server/RequestObserver.ts"
import { times } from "../support/times.ts"

const settings = { APP_ENV: "test", DATABASE_URL: "postgres://u:p@localhost/d", GEMINI_API_KEY: "simulated", REQUEST_LOG: "off" }

describe("the observer of requests", () => {
  it.effect("names a caller whose requests are refused a hundred times in a minute, once a minute", () => {
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ message }) => void lines.push([message].flat().join(" ")))
    return Effect.gen(function* () {
      const observer = yield* RequestObserver
      /** A request that ends with a status. */
      const ended = (status: number, { address, code, userId }: { address?: string; code?: string; userId?: string }) => {
        const request = Object.assign(new IncomingMessage(new Socket()), { method: "GET", url: "/search" })
        const response = new ServerResponse(request)
        observer.watch(request, response)
        identify(request, { requestId: "r", address: () => address ?? null })
        if (userId !== undefined) identifyUser(request, userId)
        if (code !== undefined) observer.countProblem(code, request)
        response.writeHead(status)
        EventEmitter.prototype.emit.call(response, "close")
      }
      times(99, () => ended(429, { userId: "ada" }))
      times(500, () => ended(200, { userId: "bob" }))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(lines, [])

      times(60, () => ended(429, { userId: "ada" }))
      times(60, () => ended(409, { userId: "ada", code: "room_busy" }))
      times(110, () => ended(429, { address: "192.0.2.7" }))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(lines, ["120 requests of the user ada were refused in a minute"])

      times(100, () => ended(429, { address: "192.0.2.7" }))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(lines.slice(1), ["100 requests of the address 192.0.2.7 were refused in a minute"])
      yield* TestClock.adjust("5 minutes")
      assert.lengthOf(lines, 2)
    }).pipe(
      Effect.provide(RequestObserver.layer),
      Effect.provide(AppConfig.layer.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(settings))))),
      Effect.provide(Logger.layer([logger])),
      Effect.scoped
    )
  })
})

describe("the counts of refusals", () => {
  it("are kept for 10,000 callers at most", () => {
    const counts = new RefusalCounts()
    times(10_000, (n) => counts.add(`caller ${n}`))
    times(3, () => counts.add("one too many"))
    counts.add("caller 9999")
    assert.deepStrictEqual(counts.take(), { caller: "caller 9999", refusals: 2 })
    assert.isUndefined(counts.take())
  })
})

import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Console, Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiScalar, OpenApi } from "effect/http-api"
import { createServer } from "node:http"
import { Api } from "../Api.ts"
import { AuthHttp } from "../auth/AuthHttp.ts"
import { UserHttp } from "../auth/UserHttp.ts"
import { AuthorizationLayer } from "../auth/Authorization.ts"
import { BillingHttp } from "../billing/BillingHttp.ts"
import { ChatHttp } from "../chat/ChatHttp.ts"
import { AppConfig } from "../Config.ts"
import { SearchHttp } from "../chat/SearchHttp.ts"
import { AdminAuthorizationLayer, AdminHttp } from "../ops/AdminHttp.ts"
import { OpsHttp } from "../ops/OpsHttp.ts"
import { refuseUnreadable } from "./ClientErrors.ts"
import { Envelope } from "./Envelope.ts"
import { openApiDocument } from "./OpenApiDocument.ts"
import { ProblemsLayer } from "./Problems.ts"

const ApiRoutes = HttpApiBuilder.layer(Api).pipe(
  Layer.provide([AuthHttp, UserHttp, ChatHttp, SearchHttp, BillingHttp, OpsHttp, AdminHttp]),
  Layer.provide([AuthorizationLayer, AdminAuthorizationLayer, ProblemsLayer])
)

const Pages = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const document = JSON.stringify(openApiDocument())
    yield* router.add("GET", "/openapi.json", HttpServerResponse.text(document, { contentType: "application/json" }))
    yield* router.add("GET", "/", HttpServerResponse.redirect("/docs"))
  })
)

/** Nothing of the reference is fetched from elsewhere, told to somebody, or a way to its makers' services. */
const reference = {
  withDefaultFonts: false,
  telemetry: false,
  showDeveloperTools: "never",
  hideClientButton: true,
  authentication: { preferredSecurityScheme: "bearer" }
}

/** The reference to the same document, with its script in the page: it works without the internet. */
const Docs = HttpApiScalar.layer(Api.annotate(OpenApi.Transform, openApiDocument), { path: "/docs", scalar: reference })

const Routes = Layer.mergeAll(ApiRoutes, Pages, Docs, Envelope)

/**
 * A Node server with the time-outs of one behind a proxy: idle connections are kept longer than a proxy keeps
 * them, so that the proxy never writes into one we are closing. `API_PREFIX` is cut before anything routes.
 */
const makeServer = (prefix: string | undefined) => {
  const server = createServer({
    keepAliveTimeout: 120_000,
    headersTimeout: 125_000,
    requestTimeout: 130_000,
    maxHeaderSize: 16_384,
    // Ours to refuse, with a problem like any other.
    requireHostHeader: false
  })
  server.on("clientError", refuseUnreadable)
  server.on("checkExpectation", (request, response) => server.emit("request", request, response))
  if (prefix !== undefined) {
    server.on("request", (request) => {
      const rest = request.url?.startsWith(prefix) === true ? request.url.slice(prefix.length) : undefined
      if (rest !== undefined && /^([/?]|$)/.test(rest)) request.url = rest.startsWith("/") ? rest : `/${rest}`
    })
  }
  return server
}

/** Says where it listens: in development in the one plain line that people and scripts wait for. */
const Announcement = Layer.effectDiscard(
  Effect.gen(function* () {
    const { environment, host } = yield* AppConfig
    const { address } = yield* HttpServer.HttpServer
    if (address._tag === "UnixPathAddress") return
    const line = `ready http://${host === "0.0.0.0" || host === "127.0.0.1" ? "localhost" : host}:${address.port}`
    yield* environment === "development" ? Console.log(line) : Effect.logInfo(line)
  })
)

export const ServerLayer = Layer.unwrap(
  Effect.gen(function* () {
    const { apiPrefix, host, port } = yield* AppConfig
    return Layer.provideMerge(
      Announcement,
      HttpRouter.serve(Routes, {
        disableLogger: true,
        disableListenLog: true,
        routerConfig: { ignoreTrailingSlash: true, ignoreDuplicateSlashes: false, maxParamLength: 300 }
      })
    ).pipe(
      Layer.provideMerge(NodeHttpServer.layer(() => makeServer(apiPrefix), { host, port, gracefulShutdownTimeout: "15 seconds" }))
    )
  })
)

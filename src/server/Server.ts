import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Console, Effect, Layer } from "effect"
import { HttpMiddleware, HttpRouter, HttpServer, type HttpServerError, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { AdminApi } from "../api/ops/AdminApi.ts"
import { OpsApi } from "../api/ops/OpsApi.ts"
import { Problems } from "../api/Problems.ts"
import { AiSdkHttp } from "../aisdk/AiSdkHttp.ts"
import { ApiKeysHttp } from "../auth/ApiKeysHttp.ts"
import { AuthHttp } from "../auth/AuthHttp.ts"
import { UserHttp } from "../account/UserHttp.ts"
import { AuthorizationLayer } from "../auth/Authorization.ts"
import { BillingHttp } from "../billing/BillingHttp.ts"
import { BranchesHttp } from "../chat/BranchesHttp.ts"
import { ImportHttp } from "../chat/ImportHttp.ts"
import { SummariesHttp } from "../chat/SummariesHttp.ts"
import { ChatHttp } from "../chat/ChatHttp.ts"
import { RepliesHttp } from "../replies/RepliesHttp.ts"
import { AppConfig } from "../config/Settings.ts"
import { ImmediateAnswers } from "../http/ImmediateAnswers.ts"
import { SettingError } from "../config/Reading.ts"
import { FilesHttp } from "../files/FilesHttp.ts"
import { ModelsHttp } from "../models/ModelsHttp.ts"
import { OpenAiHttp } from "../openai/OpenAiHttp.ts"
import { SharesHttp } from "../shares/SharesHttp.ts"
import { SearchHttp } from "../chat/SearchHttp.ts"
import { AdminAuthorizationLayer, AdminHttp } from "./AdminHttp.ts"
import { Draining } from "../ops/Draining.ts"
import { OpsHttp } from "./OpsHttp.ts"
import { Admission } from "./Admission.ts"
import { Docs } from "./Docs.ts"
import { RequestPipeline } from "./RequestPipeline.ts"
import { ImmediateResponder } from "./ImmediateResponder.ts"
import { Listener } from "./Listener.ts"
import { constantPage } from "./ConstantPage.ts"
import { Playground } from "./Playground.ts"
import { documentAt } from "./Document.ts"
import { ProblemsLayer } from "./Problems.ts"
import { RequestObserver } from "./RequestObserver.ts"
import { routeOf, routerConfig } from "./Routes.ts"

const ApiRoutes = HttpApiBuilder.layer(Api).pipe(
  Layer.provide([
    AuthHttp,
    ApiKeysHttp,
    UserHttp,
    ChatHttp,
    RepliesHttp,
    BranchesHttp,
    SummariesHttp,
    ImportHttp,
    AiSdkHttp,
    SearchHttp,
    SharesHttp,
    FilesHttp,
    ModelsHttp,
    OpenAiHttp,
    BillingHttp,
    OpsHttp,
    AdminHttp
  ]),
  Layer.provide([AuthorizationLayer, AdminAuthorizationLayer, ProblemsLayer])
)

/** The groups of the API that a worker answers. */
class OpsOnly extends HttpApi.make("gemini-chat-backend").add(OpsApi).add(AdminApi).middleware(Problems) {}

const OpsRoutes = HttpApiBuilder.layer(OpsOnly).pipe(
  Layer.provide([OpsHttp, AdminHttp]),
  Layer.provide([AdminAuthorizationLayer, ProblemsLayer])
)

const Pages = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const { appUrl } = yield* AppConfig
    const document = HttpServerResponse.text(documentAt(appUrl), { contentType: "application/json" })
    yield* router.add("GET", "/openapi.json", constantPage(document))
  })
)

const Routes = Layer.mergeAll(ApiRoutes, Pages, Docs, Playground, RequestPipeline)

/** Logs where the server listens; in development as the one plain line that people and scripts wait for. */
const Announcement = Layer.effectDiscard(
  Effect.gen(function* () {
    const { environment, host } = yield* AppConfig
    const { address } = yield* HttpServer.HttpServer
    if (address._tag === "UnixPathAddress") return
    const line = `ready http://${host === "0.0.0.0" || host === "127.0.0.1" ? "localhost" : host}:${address.port}`
    yield* environment === "development" ? Console.log(line) : Effect.logInfo(line)
  })
)

/** A failure to listen, named by the setting that caused it. */
const listenProblem = ({ cause }: HttpServerError.ServeError, port: number) => {
  const code = cause instanceof Error && "code" in cause ? cause.code : cause
  if (code === "EADDRINUSE")
    return new SettingError({ setting: "PORT", problem: `${port} is taken by another process; set PORT to a free one` })
  if (code === "EACCES") return new SettingError({ setting: "PORT", problem: `${port} may not be listened on by this user` })
  return new SettingError({ setting: "HOST", problem: `cannot be listened on (${code})` })
}

/** By the conventions, a request's span is named by its method and its route. */
const SpanNames = Layer.succeed(
  HttpMiddleware.SpanNameGenerator,
  ({ method, url }) => `${method} ${routeOf(method, url).template}`
)

/** Serves routes on the process's port. */
const serve = <R>(routes: Layer.Layer<never, never, R>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const settings = yield* AppConfig
      const { host, port } = settings
      const admission = yield* Admission
      const draining = yield* Draining
      const answers = yield* ImmediateAnswers
      const services = yield* Effect.context<never>()
      const observer = yield* RequestObserver
      const responder = new ImmediateResponder(settings, answers, admission, draining, observer, services)
      const listener = () => new Listener(settings, admission, draining, responder, observer)
      return Layer.provideMerge(
        Announcement,
        HttpRouter.serve(routes, {
          disableLogger: true,
          disableListenLog: true,
          routerConfig
        })
      ).pipe(
        Layer.provideMerge(NodeHttpServer.layer(listener, { host, port, backlog: 4_096, gracefulShutdownTimeout: "15 seconds" })),
        Layer.catchTag("ServeError", (error) => Layer.effectContext(Effect.fail(listenProblem(error, port))))
      )
    })
  ).pipe(Layer.provide([Admission.layer, RequestObserver.layer, SpanNames]))

/** The whole API, its reference, its document and the playground. */
export const ServerLayer = serve(Routes)

/** The routes of a worker: probes and metrics only. */
export const OpsServerLayer = serve(Layer.merge(OpsRoutes, RequestPipeline))

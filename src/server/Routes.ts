import { type ByteSize, Context } from "effect"
import { FindMyWay } from "effect/http"
import { HttpApi } from "effect/http-api"
import { AdmissionClass, AwaitsReply, CacheControl, MaximumBody, MaximumValues, noStore } from "../api/Annotations.ts"
import { Api } from "../api/Api.ts"

/** Matches paths for the server's router and for the table below, which must agree. */
export const routerConfig = {
  ignoreTrailingSlash: true,
  ignoreDuplicateSlashes: false,
  // A proxy's rule for `/metrics` would not hold for `/METRICS`.
  caseSensitive: true,
  maxParamLength: 300
}

interface Policy {
  /** The path with its parameters' names, as metrics and traces name the route. */
  readonly template: string
  readonly admission: AdmissionClass
  /** The `Cache-Control` of responses that set none of their own. */
  readonly cacheControl: string | undefined
  /** Whether the response's bytes are the same for the life of the process. */
  readonly isConstant: boolean
  readonly isCompressible: boolean
  readonly maximumBody: ByteSize.ByteSize
  readonly maximumValues: number
  /** Whether the handler answers when a reply has ended. */
  readonly awaitsReply: boolean
}

export interface Route extends Policy {
  /** For a method that the path lacks: those that it has, for `Allow`. */
  readonly allow: string | undefined
}

/** The largest body of endpoints that do not say otherwise. */
export const defaultBody = Context.get(Context.empty(), MaximumBody)

/** Routes outside the API's definition. */
const pagePolicy: Omit<Policy, "template"> = {
  admission: "working",
  cacheControl: undefined,
  isConstant: true,
  isCompressible: true,
  maximumBody: defaultBody,
  maximumValues: Context.get(Context.empty(), MaximumValues),
  awaitsReply: false
}
/** The playground's files are compressed when they are built. */
const builtPolicy = { ...pagePolicy, isCompressible: false }
const pages: ReadonlyArray<readonly [path: string, Omit<Policy, "template">]> = [
  ["/", builtPolicy],
  ["/assets/:name", builtPolicy],
  ["/docs", pagePolicy],
  ["/openapi.json", pagePolicy]
]

/** Refusals of unknown paths are not stored, because a cache may take such a path (`/user/me;x.css`) for a static file. */
const unknownRoute: Route = { ...pagePolicy, template: "unknown", allow: undefined, cacheControl: noStore, isConstant: false }

interface RoutesOfPath {
  readonly methods: ReadonlyMap<string, Route>
  readonly otherwise: Route
}

/** The annotations of the API's endpoints by path and method, read once. */
const paths = (() => {
  const policies = new Map(pages.map(([path, policy]) => [path, new Map([["GET", { ...policy, template: path }]])]))
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint, mergedAnnotations }) => {
      const ofPath = policies.get(endpoint.path) ?? new Map<string, Policy>()
      policies.set(endpoint.path, ofPath)
      ofPath.set(endpoint.method, {
        template: endpoint.path,
        admission: Context.get(mergedAnnotations, AdmissionClass),
        cacheControl: Context.get(mergedAnnotations, CacheControl),
        isConstant: false,
        isCompressible: !endpoint.path.startsWith("/auth/"),
        maximumBody: Context.get(mergedAnnotations, MaximumBody),
        maximumValues: Context.get(mergedAnnotations, MaximumValues),
        awaitsReply: Context.get(mergedAnnotations, AwaitsReply)
      })
    }
  })
  const fixed = new Map<string, RoutesOfPath>()
  const router = FindMyWay.make<RoutesOfPath>(routerConfig)
  for (const [path, ofPath] of policies) {
    const head = ofPath.get("GET")
    if (head !== undefined) ofPath.set("HEAD", head)
    const allow = [...ofPath.keys()].sort().join(", ")
    const methods = new Map([...ofPath].map(([method, policy]) => [method, { ...policy, allow: undefined }] as const))
    const [first = unknownRoute] = ofPath.values()
    const routes = { methods, otherwise: { ...first, allow } }
    router.on("GET", `/${path.slice(1)}`, routes)
    if (!path.includes(":")) fixed.set(path, routes)
  }
  return { fixed, router }
})()

/** The route of a request. A method that the path lacks gets the policy of the path's first method. */
export const routeOf = (method = "", url = ""): Route => {
  // Without its query, which the router would parse.
  const query = url.indexOf("?")
  const path = query === -1 ? url : url.slice(0, query)
  // Most requests are for a path without parameters, which a map finds at a tenth of the router's cost.
  const routes = paths.fixed.get(path) ?? paths.router.find("GET", path)?.handler
  return routes?.methods.get(method) ?? routes?.otherwise ?? unknownRoute
}

import type { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import type { Schema } from "effect"
import type { Api } from "../../src/api/Api.ts"

/**
 * The contract as types: `src/api` is imported for its types only, so the page contains nothing of Effect, whose client
 * alone would be larger than the whole page.
 */
type Groups = typeof Api extends HttpApi.HttpApi<infer _Id, infer G> ? G : never
type Endpoints = HttpApiGroup.Endpoints<Groups>
type Rooted<Path extends string> = Path extends `${infer Head}/` ? (Head extends "" ? "/" : Head) : Path
type NameOf<E> = E extends { readonly method: infer Method extends string; readonly path: infer Path extends string }
  ? `${Method} ${Rooted<Path>}`
  : never

/** `GET /chatroom/:id` and so on: every operation of the contract. */
export type Operation = NameOf<Endpoints>

type Endpoint<O extends Operation> = Endpoints extends infer E
  ? E extends unknown
    ? NameOf<E> extends O
      ? E
      : never
    : never
  : never

/** What a schema is as JSON. The endpoint wraps the contract's schemas into codecs, which no longer name their JSON. */
type Json<S> = [S] extends [never]
  ? never
  : S extends HttpApiSchema.WithHeaders<infer Inner, infer _Headers>
    ? Json<Inner>
    : S extends { readonly schema: infer Inner extends Schema.Top }
      ? Inner["Encoded"]
      : S extends Schema.Top
        ? S["Encoded"]
        : never
type Field<Name extends string, Value> = [Value] extends [never] ? {} : { readonly [N in Name]?: Value }

/** Text, because that is what a path, a query and headers are made of. */
type Texts<Value> = { readonly [K in keyof Value]: string }

type ParamsOf<O extends Operation> = Json<HttpApiEndpoint.Params<Endpoint<O>>>

/** What a request of an operation takes. */
export type RequestOf<O extends Operation> = ([ParamsOf<O>] extends [never] ? {} : { readonly params: Texts<ParamsOf<O>> }) &
  Field<"query", Texts<Json<HttpApiEndpoint.Query<Endpoint<O>>>>> &
  Field<"headers", Texts<Json<HttpApiEndpoint.Headers<Endpoint<O>>>>> &
  Field<"body", Json<HttpApiEndpoint.Payload<Endpoint<O>>>>

/** The JSON of an operation's success. */
export type ResponseOf<O extends Operation> = Json<HttpApiEndpoint.Success<Endpoint<O>>>

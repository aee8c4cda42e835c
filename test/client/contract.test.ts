import type { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import type { Schema } from "effect"
import { assert, describe, it } from "vitest"
import type * as client from "../../client/src/contract.ts"
import type { Api } from "../../src/api/Api.ts"
import type { ReplyEvent } from "../../src/api/chat/StreamEvents.ts"

/** The contract's own types: the client's, which are made from openapi.json, are compared with them by the compiler. */
type Groups = typeof Api extends HttpApi.HttpApi<infer _Id, infer G> ? G : never
type Endpoints = HttpApiGroup.Endpoints<Groups>
type Rooted<Path extends string> = Path extends `${infer Head}/` ? (Head extends "" ? "/" : Head) : Path
type NameOf<E> = E extends { readonly method: infer Method extends string; readonly path: infer Path extends string }
  ? `${Method} ${Rooted<Path>}`
  : never
type Endpoint<O> = Endpoints extends infer E ? (E extends unknown ? (NameOf<E> extends O ? E : never) : never) : never

/** What a schema is as JSON. The endpoint wraps the contract's schemas into codecs, which no longer name their JSON. */
type Json<S> =
  S extends HttpApiSchema.WithHeaders<infer Inner, infer _Headers>
    ? Json<Inner>
    : S extends { readonly schema: infer Inner extends Schema.Top }
      ? Inner["Encoded"]
      : S extends Schema.Top
        ? S["Encoded"]
        : never

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false
type Operation = keyof client.Operations
/** Operations of operators and of Stripe, and those that have clients of their own. */
type OperationOfOthers = `${string} /${"admin" | "ai" | "v1" | "webhook"}/${string}` | "GET /metrics"

/** The JSON of an operation's success; text, bytes and empty answers are left out. */
type ResponseOf<O extends Operation> = Extract<Json<HttpApiEndpoint.Success<Endpoint<O>>>, object>
type Response<O extends Operation> = Extract<client.Operations[O]["response"], object>
type OtherResponses = {
  [O in Operation]: client.Operations[O]["response"] extends globalThis.Response
    ? never
    : Same<ResponseOf<O>, Response<O>> extends true
      ? never
      : O
}[Operation]

type Member<A, Name extends string> = A extends { readonly [N in Name]?: infer Value } ? NonNullable<Value> : never
type OtherBodies = {
  [O in Operation]: O extends "POST /files"
    ? never
    : Same<NonNullable<Json<HttpApiEndpoint.Payload<Endpoint<O>>>>, Member<client.Operations[O], "body">> extends true
      ? never
      : O
}[Operation]

/** The names of parameters; in a request they are text, to the client numbers and booleans as well. */
type OtherQueries = {
  [O in Operation]: Same<keyof Json<HttpApiEndpoint.Query<Endpoint<O>>>, keyof Member<client.Operations[O], "query">> extends true
    ? never
    : O
}[Operation]
type OtherParams = {
  [O in Operation]: Same<
    keyof Json<HttpApiEndpoint.Params<Endpoint<O>>>,
    keyof Member<client.Operations[O], "params">
  > extends true
    ? never
    : O
}[Operation]

/** Anything but `same` names what differs, which the compiler then finds below. */
type Agreement<Different> = [Different] extends [never] ? "same" : Different

interface Agreements {
  readonly unknownOperations: Agreement<Exclude<Operation, NameOf<Endpoints>>>
  readonly missingOperations: Agreement<Exclude<NameOf<Endpoints>, Operation | OperationOfOthers>>
  readonly responses: Agreement<OtherResponses>
  readonly bodies: Agreement<OtherBodies>
  readonly queries: Agreement<OtherQueries>
  readonly params: Agreement<OtherParams>
  readonly events: Agreement<Same<(typeof ReplyEvent.Encoded)["data"], client.ReplyEvent> extends true ? never : "ReplyEvent">
}

describe("the types of the client", () => {
  it("are those of the contract", () => {
    const agreements: Agreements = {
      unknownOperations: "same",
      missingOperations: "same",
      responses: "same",
      bodies: "same",
      queries: "same",
      params: "same",
      events: "same"
    }
    assert.deepStrictEqual([...new Set(Object.values(agreements))], ["same"])
  })
})

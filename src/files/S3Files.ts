import { createHash } from "node:crypto"
import { Readable } from "node:stream"
import { AwsClient } from "aws4fetch"
import { Effect, Layer, Redacted, Schedule, Stream } from "effect"
import { type Dispatcher, request } from "undici"
import type { Bucket } from "../config/Bucket.ts"
import { type FileKey, Files, StorageFailure } from "./Files.ts"
import { makePostgresFiles } from "./PostgresFiles.ts"

/** Milliseconds until S3 answers, and between two pieces of its answer. */
const answerMillis = 30_000
/** Repetitions of a request that S3 could not answer, a second and two seconds later. */
const repetitions = 2

type Answer = Dispatcher.ResponseData

const failed = (detail: string) => (cause: unknown) => new StorageFailure({ detail, cause })
const nothingThere = new StorageFailure({ detail: "S3 does not have the file" })

interface Call {
  readonly method: "PUT" | "GET" | "DELETE"
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Stream.Stream<Uint8Array, StorageFailure>
}

/**
 * Files as objects of an S3-compatible service. An upload goes through Postgres first, because S3 wants to know its length
 * and its hash before its bytes: the chunks are deleted as soon as S3 has them.
 */
export const makeS3Files = Effect.fnUntraced(function* ({ accessKeyId, endpoint, name, region, secretAccessKey }: Bucket) {
  const spool = yield* makePostgresFiles
  const client = new AwsClient({
    accessKeyId,
    secretAccessKey: Redacted.value(secretAccessKey),
    service: "s3",
    region,
    retries: 0
  })
  const addressOf = ({ fileId, userId }: FileKey) => `${endpoint}/${name}/${userId}/${fileId}`

  const drain = ({ body }: Answer) => Effect.ignore(Effect.tryPromise(() => body.dump()))

  const send = (key: FileKey, { body, headers = {}, method }: Call): Effect.Effect<Answer, StorageFailure> =>
    Effect.tryPromise({
      try: (signal) =>
        client.sign(addressOf(key), { method, headers }).then((signed) =>
          request(signed.url, {
            method,
            // The body's length is not part of the signature.
            headers: { ...headers, ...Object.fromEntries(signed.headers) },
            body: body === undefined ? null : Readable.from(Stream.toAsyncIterable(body), { objectMode: false }),
            headersTimeout: answerMillis,
            bodyTimeout: answerMillis,
            signal
          })
        ),
      catch: failed("S3 could not be reached")
    }).pipe(
      Effect.tap((answer) => (answer.statusCode >= 400 ? refused(answer) : Effect.void)),
      Effect.retry({ while: ({ cause }) => cause !== undefined, times: repetitions, schedule: Schedule.exponential("1 second") })
    )

  /** A status below 500 comes again when the request does, so it is not repeated. */
  const refused = (answer: Answer) =>
    Effect.andThen(
      drain(answer),
      Effect.fail(
        answer.statusCode === 404
          ? nothingThere
          : new StorageFailure({
              detail: `S3 answered ${answer.statusCode}`,
              ...(answer.statusCode >= 500 || answer.statusCode === 429 ? { cause: answer.statusCode } : {})
            })
      )
    )

  return Files.of({
    put: Effect.fnUntraced(function* (key, type, chunks) {
      const hash = createHash("sha256")
      let bytes = 0
      yield* spool.put(
        key,
        type,
        Stream.tap(chunks, (chunk) =>
          Effect.sync(() => {
            hash.update(chunk)
            bytes += chunk.length
          })
        )
      )
      if (bytes === 0) return
      const headers = { "content-type": type, "content-length": String(bytes), "x-amz-content-sha256": hash.digest("hex") }
      yield* Effect.flatMap(send(key, { method: "PUT", headers, body: spool.get(key, { from: 0, length: bytes }) }), drain)
      yield* spool.remove(key)
    }),

    get: (key, { from, length }) =>
      Stream.unwrap(
        Effect.map(send(key, { method: "GET", headers: { range: `bytes=${from}-${from + length - 1}` } }), ({ body }) =>
          Stream.fromAsyncIterable<Uint8Array, StorageFailure>(body, failed("S3 broke off"))
        )
      ),

    url: (key, seconds, shown) => {
      const address = new URL(addressOf(key))
      address.searchParams.set("X-Amz-Expires", String(seconds))
      if (shown !== undefined) {
        address.searchParams.set("response-content-disposition", shown.name)
        address.searchParams.set("response-content-type", shown.type)
      }
      return Effect.tryPromise({
        try: () => client.sign(address.href, { method: "GET", aws: { signQuery: true } }).then(({ url }) => url),
        catch: failed("an address could not be signed")
      })
    },

    remove: Effect.fnUntraced(function* (key) {
      yield* spool.remove(key)
      yield* Effect.flatMap(send(key, { method: "DELETE" }), drain).pipe(
        Effect.catchIf(
          (error) => error === nothingThere,
          () => Effect.void
        )
      )
    })
  })
})

export const s3FilesLayer = (bucket: Bucket) => Layer.effect(Files, makeS3Files(bucket))

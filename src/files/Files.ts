import { Context, Data, type Effect, type Stream } from "effect"

/** A file's place. It has no name of the user's. */
export interface FileKey {
  readonly userId: string
  readonly fileId: string
}

export interface ByteRange {
  readonly from: number
  readonly length: number
}

/** The storage cannot be reached, or does not have the bytes. */
export class StorageFailure extends Data.TaggedError("StorageFailure")<{ readonly detail: string; readonly cause?: unknown }> {}

/** Bytes of a chunk: what an upload has in memory. */
export const chunkBytes = 262_144

/** Where the bytes of files are. Their rows are in Postgres in any case (`Uploads`, `UserFiles`). */
export class Files extends Context.Service<
  Files,
  {
    /** Stores the chunks of an upload, all but the last of `chunkBytes`, one after the other. */
    readonly put: <E>(key: FileKey, type: string, chunks: Stream.Stream<Uint8Array, E>) => Effect.Effect<void, E | StorageFailure>
    /** The bytes of a range, piece by piece. */
    readonly get: (key: FileKey, range: ByteRange) => Stream.Stream<Uint8Array, StorageFailure>
    /** Null when the storage has no addresses of its own: else one that is valid for so many seconds. */
    readonly url:
      | null
      | ((
          key: FileKey,
          seconds: number,
          response?: { readonly name: string; readonly type: string }
        ) => Effect.Effect<string, StorageFailure>)
    /** Removes what there is of the bytes; repeatable. */
    readonly remove: (key: FileKey) => Effect.Effect<void, StorageFailure>
  }
>()("chat-backend/files/Files") {}

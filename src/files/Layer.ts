import { Effect, Layer } from "effect"
import { AppConfig } from "../config/Settings.ts"
import { PostgresFilesLayer } from "./PostgresFiles.ts"
import { Uploads } from "./Uploads.ts"
import { UserFiles } from "./UserFiles.ts"

/** Where the bytes of files are. The code for S3 is loaded where a bucket is configured. */
const StorageLayer = Layer.unwrap(
  Effect.gen(function* () {
    const { s3 } = yield* AppConfig
    if (s3 === undefined) return PostgresFilesLayer
    const { s3FilesLayer } = yield* Effect.promise(() => import("./S3Files.ts"))
    return s3FilesLayer(s3)
  })
)

/** Users' files, and the storage of their bytes. */
export const FilesLayer = Layer.mergeAll(Uploads.layer, UserFiles.layer).pipe(Layer.provideMerge(StorageLayer))

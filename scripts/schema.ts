import { writeFileSync } from "node:fs"
import { Effect, Layer } from "effect"
import pg from "pg"
import { AppConfig } from "../src/config/Settings.ts"
import { runAllMigrations } from "../src/database/Database.ts"
import { startPostgres } from "../dev/EmbeddedPostgres.ts"
import { environment } from "../src/ops/Launch.ts"
import { readSchema, schemaFile } from "./catalogue.ts"

/** `npm run schema`: writes migrations/schema.sql, the schema that the migrations make in an empty database. */
const postgres = await startPostgres({ ephemeral: true })
const client = new pg.Client({ connectionString: postgres.url })
try {
  const settings = environment({ APP_ENV: "test", DATABASE_URL: postgres.url })
  await Effect.runPromise(runAllMigrations.pipe(Effect.provide(AppConfig.layer.pipe(Layer.provide(settings)))))
  await client.connect()
  const schema = await readSchema(async (sql) => (await client.query(sql)).rows)
  writeFileSync(new URL("../migrations/schema.sql", import.meta.url), schemaFile(schema))
  process.stdout.write("migrations/schema.sql: written\n")
} finally {
  await client.end()
  await postgres.stop()
}

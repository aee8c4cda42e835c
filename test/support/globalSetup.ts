import { Effect, Layer } from "effect"
import pg from "pg"
import type { TestProject } from "vitest/node"
import { AppConfig } from "../../src/config/Settings.ts"
import { runAllMigrations } from "../../src/database/Database.ts"
import { startPostgres } from "../../dev/EmbeddedPostgres.ts"
import { environment } from "../../src/ops/Launch.ts"

declare module "vitest" {
  export interface ProvidedContext {
    postgresUrl: string
  }
}

export const template = "chat_template"

/**
 * Starts one ephemeral Postgres for the whole run, with a migrated template that every test file copies. Files run in
 * parallel and start several processes each, which takes more than the default 100 connections.
 */
export default async function setup(project: TestProject) {
  const configured = process.env["TEST_DATABASE_URL"]
  const postgres =
    configured === undefined ? await startPostgres({ ephemeral: true, settings: { max_connections: "500" } }) : undefined
  const url = configured ?? postgres?.url ?? ""
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  await admin.query(`drop database if exists ${template}`)
  await admin.query(`create database ${template}`)
  await admin.end()
  const settings = environment({ APP_ENV: "test", DATABASE_URL: Object.assign(new URL(url), { pathname: template }).href })
  await Effect.runPromise(runAllMigrations.pipe(Effect.provide(AppConfig.layer.pipe(Layer.provide(settings)))))
  project.provide("postgresUrl", url)
  return async () => {
    await postgres?.stop()
  }
}

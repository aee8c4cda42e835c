import { PgClient } from "@effect/sql-pg"
import { Cause, Predicate, Redacted, String } from "effect"
import { SqlError } from "effect/sql"
import type { ClientConfig } from "pg"
import type { DatabaseEndpoint } from "../config/DatabaseUrl.ts"
import { SettingError } from "../config/Reading.ts"
import { postgresSockets } from "./PostgresSocket.ts"

export interface ConnectionOptions {
  readonly endpoint: DatabaseEndpoint
  /** Shown in `pg_stat_activity`. */
  readonly name: string
  /** Milliseconds after which Postgres gives a statement up; 0 for never. */
  readonly statementMillis: number
  /** Milliseconds a statement waits for a lock; without it, as long as the statement may take. */
  readonly lockMillis?: number | undefined
  /** Milliseconds without a statement after which Postgres ends a session; never without it. */
  readonly idleMillis?: number | undefined
  /** Milliseconds without an answer after which a connection is destroyed; more than a statement may take. */
  readonly silenceMillis: number
  readonly connections: number
  /** A pooler in transaction mode keeps neither prepared statements nor most session settings. */
  readonly isPooled?: boolean | undefined
  /** Pipelines statements of several fibers on one connection. */
  readonly multiplex?: boolean | undefined
}

const connectMillis = 5_000
/** A session's own settings come before what a role or a server sets: times are read in one format. */
const formats = { TimeZone: "UTC", DateStyle: "ISO, MDY" }

/** The options of Effect's client and of its pool. */
export const poolOptions = (options: ConnectionOptions) => {
  const { endpoint, isPooled = false } = options
  const { database, host, options: startupOptions, password, port, username } = endpoint
  const timeouts = {
    statement_timeout: `${options.statementMillis}`,
    idle_in_transaction_session_timeout: "15000",
    ...(options.idleMillis === undefined ? {} : { idle_session_timeout: `${options.idleMillis}` }),
    ...(options.lockMillis === undefined ? {} : { lock_timeout: `${options.lockMillis}` })
  }
  return {
    host,
    port,
    database,
    username,
    password,
    // The socket encrypts by itself, as the endpoint says.
    ssl: false,
    stream: postgresSockets(endpoint, options.silenceMillis, options.multiplex),
    applicationName: options.name,
    connectTimeout: connectMillis,
    maxConnections: options.connections,
    multiplex: options.multiplex ?? false,
    startupOptions,
    ...(isPooled ? { prepare: false, startupParameters: formats } : { startupParameters: { ...formats, ...timeouts } }),
    transformResultNames: String.snakeToCamel,
    transformJson: false
  } satisfies PgClient.PgPoolConfig
}

/** Effect's client on an endpoint. It connects when it is first used. */
export const makeClient = (options: ConnectionOptions) => PgClient.make(poolOptions(options))

/** The same endpoint for `pg`, which the queue uses. */
export const pgConfig = (options: Omit<ConnectionOptions, "connections" | "isPooled" | "multiplex">) => {
  const { database, host, options: startupOptions, password, port, username } = options.endpoint
  const settings = `-c statement_timeout=${options.statementMillis} -c TimeZone=UTC`
  return {
    host,
    port,
    database,
    user: username,
    password: password === undefined ? undefined : Redacted.value(password),
    ssl: false,
    stream: postgresSockets(options.endpoint, options.silenceMillis),
    application_name: options.name,
    connectionTimeoutMillis: connectMillis,
    options: startupOptions === undefined ? settings : `${startupOptions} ${settings}`
  } satisfies ClientConfig
}

/** The innermost reason. Not the URL, which holds a password. */
export const reasonOf = (error: unknown): string => {
  if (SqlError.isSqlError(error)) return reasonOf(error.reason.cause ?? error.reason.message)
  if (!(error instanceof Error)) return `${error}`
  if (error.cause !== undefined) return reasonOf(error.cause)
  return error instanceof AggregateError ? reasonOf(error.errors[0]) : error.message
}

const codeOf = (error: unknown): string => {
  if (SqlError.isSqlError(error)) return codeOf(error.reason.cause)
  if (error instanceof AggregateError) return codeOf(error.errors[0])
  if (Predicate.hasProperty(error, "code") && typeof error.code === "string") return error.code
  return Predicate.hasProperty(error, "cause") ? codeOf(error.cause) : ""
}

/**
 * Whether a failed connection is worth waiting for: Postgres is starting, stopping, full or not reachable. A wrong
 * password, a missing database or a certificate that does not fit is for the operator to mend.
 */
export const isPassing = (error: unknown): boolean => {
  const code = codeOf(error)
  // SQLSTATE classes 08 (connection), 53 (resources) and 57P (operator intervention), or a socket's own error.
  if (/^(08|53)...$|^57P0[1-4]$|^E(CONN|HOST|NET|AI_AGAIN|PIPE|NOTFOUND|TIMEDOUT)/.test(code)) return true
  return code === "" && /closed|timed? ?out|has not answered|terminated/i.test(reasonOf(error))
}

/** Whether a start failed for that reason. */
export const isDatabaseAway = (cause: Cause.Cause<unknown>): boolean => {
  const error = Cause.squash(cause)
  return error instanceof SettingError ? error.isPassing === true : isPassing(error)
}

/** What Postgres says when the role lacks a right (SQLSTATE 42501); undefined for every other error. */
export const forbiddenReason = (error: unknown): string | undefined => (codeOf(error) === "42501" ? reasonOf(error) : undefined)

/** A failed first connection, reported as a bad setting. */
export const unusable = (endpoint: DatabaseEndpoint) => (error: unknown) =>
  new SettingError({
    setting: endpoint.setting,
    problem: `cannot connect: ${reasonOf(error)}`,
    isPassing: isPassing(error)
  })

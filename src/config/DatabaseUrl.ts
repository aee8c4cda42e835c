import { readFileSync } from "node:fs"
import { isIP } from "node:net"
import { userInfo } from "node:os"
import type { ConnectionOptions } from "node:tls"
import { Effect, Redacted, Result } from "effect"
import { fail, integer, optional, optionalSecret, text } from "./Reading.ts"
import type { VariableName } from "./Variables.ts"

/**
 * The database as both drivers get it. Only this file reads the URL: the drivers read its parameters differently,
 * and a process must neither reach two databases nor encrypt only some of its connections.
 */
export interface DatabaseEndpoint {
  /** The setting that it was read from. */
  readonly setting: VariableName
  readonly host: string
  readonly port: number
  readonly database: string
  readonly username: string
  readonly password: Redacted.Redacted | undefined
  /** The parameter `options`: server settings of every session. */
  readonly options: string | undefined
  /** `off`: never encrypted; `preferred`: encrypted when the server offers it; `required`: always encrypted. */
  readonly tls: "off" | "preferred" | "required"
  readonly handshake: ConnectionOptions
}

const modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full", "no-verify"] as const
type Mode = (typeof modes)[number]

/** Parameters whose promise this server cannot keep. */
const unsupported: ReadonlyArray<readonly [name: string, value: RegExp, problem: string]> = [
  ["channel_binding", /^require$/, "channel_binding=require is not supported: remove it and use sslmode=verify-full"],
  ["gssencmode", /^require$/, "gssencmode=require is not supported: remove it and use sslmode=require"],
  ["sslnegotiation", /^direct$/, "sslnegotiation=direct is not supported: remove it"],
  ["sslpassword", /./, "sslpassword is not supported: use a key without a passphrase"]
]

/** `ssl=…`, the Node driver's parameter, as a mode of libpq. */
const modeOfSsl = (value: string): string => {
  if (/^(true|1|on)$/i.test(value)) return "require"
  return /^(false|0|off)$/i.test(value) ? "disable" : value
}

const decoded = (text: string) => Result.try({ try: () => decodeURIComponent(text), catch: () => undefined })
const parsed = (text: string) => Result.try({ try: () => new URL(text), catch: () => undefined })

/** A PEM text, or the content of the file at a path. */
const pem = (value: string) =>
  value.includes("-----BEGIN")
    ? Result.succeed(value.replaceAll("\\n", "\n"))
    : Result.try({ try: () => readFileSync(value, "utf8"), catch: () => undefined })

/**
 * Reads `DATABASE_URL` or `DATABASE_DIRECT_URL`; `sslmode` means what it means to libpq
 * (https://www.postgresql.org/docs/current/libpq-ssl.html), for both drivers. No error shows a part of the URL.
 */
export const databaseEndpoint = Effect.fnUntraced(function* (
  name: VariableName,
  url: Redacted.Redacted,
  defaults: { readonly ca: string | undefined; readonly mode: string | undefined }
) {
  // With such a character in a password its rest would be taken for the host, which errors show.
  if (/^[^:]*:\/\/[^/?#]*(?:#|[/?].*[@#])/s.test(Redacted.value(url))) {
    return yield* fail(
      name,
      "has a special character that is not percent-encoded: write # as %23, / as %2F, ? as %3F and @ as %40"
    )
  }
  const location = parsed(Redacted.value(url))
  if (Result.isFailure(location) || !/^postgres(ql)?:$/.test(location.success.protocol)) {
    return yield* fail(name, "must be a URL like postgres://user:password@host/database, with special characters percent-encoded")
  }
  const { hostname, password, pathname, port, searchParams, username } = location.success
  const parameter = (key: string) => searchParams.get(key) ?? undefined
  for (const [key, value, problem] of unsupported) {
    if (value.test(parameter(key) ?? "")) return yield* fail(name, problem)
  }

  const parts = [hostname.replace(/^\[(.*)\]$/, "$1"), username, password, pathname.replace(/^\//, "")].map(decoded)
  const [host, user, secret, database] = parts.map((part) => (Result.isSuccess(part) ? part.success : undefined))
  if (host === undefined || user === undefined || secret === undefined || database === undefined) {
    return yield* fail(name, "has a % that begins no percent-encoded character: write it as %25")
  }
  const hosts = parameter("host") ?? host
  if (hosts.includes(",")) return yield* fail(name, "names several hosts: give one, or a name that leads to the primary")
  const portNumber = Number(parameter("port") ?? (port || "5432"))
  if (!Number.isInteger(portNumber) || portNumber < 1 || portNumber > 65_535) return yield* fail(name, "has an invalid port")
  const role = (parameter("user") ?? user) || userInfo().username
  const key = parameter("password") ?? secret

  const ssl = parameter("ssl")
  const asked = parameter("sslmode") ?? (ssl === undefined ? defaults.mode : modeOfSsl(ssl)) ?? "prefer"
  const mode = modes.find((known) => known === asked)
  if (mode === undefined) return yield* fail(name, `must have an sslmode of ${modes.join(", ")}`)
  const handshake = yield* handshakeOf(name, mode, hosts, {
    ca: parameter("sslrootcert") ?? defaults.ca,
    cert: parameter("sslcert"),
    key: parameter("sslkey")
  })
  // A Unix socket is never encrypted, whatever is asked for.
  const isLocal = hosts.startsWith("/")
  return {
    setting: name,
    host: hosts === "" ? "localhost" : hosts,
    port: portNumber,
    database: (parameter("dbname") ?? database) || role,
    username: role,
    password: key === "" ? undefined : Redacted.make(key, { label: name }),
    options: parameter("options"),
    tls: isLocal || mode === "disable" ? "off" : mode === "allow" || mode === "prefer" ? "preferred" : "required",
    handshake
  } satisfies DatabaseEndpoint
})

const handshakeOf = Effect.fnUntraced(function* (
  name: VariableName,
  mode: Mode,
  host: string,
  files: { readonly ca: string | undefined; readonly cert: string | undefined; readonly key: string | undefined }
) {
  const read = Effect.fnUntraced(function* (what: string, value: string | undefined) {
    if (value === undefined) return undefined
    const content = pem(value)
    return Result.isSuccess(content)
      ? content.success
      : yield* fail(name, `${what} cannot be read: it is a PEM text or the path of one`)
  })
  const ca = files.ca === "system" ? undefined : yield* read("the root certificate", files.ca)
  const cert = yield* read("the client certificate", files.cert)
  const key = yield* read("the client key", files.key)
  // As in libpq, `require` verifies the chain when a root certificate is given; the host's name only with verify-full.
  const verifiesChain = mode === "verify-ca" || mode === "verify-full" || (mode === "require" && files.ca !== undefined)
  return {
    rejectUnauthorized: verifiesChain,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(mode === "verify-full" || files.ca === "system" ? {} : { checkServerIdentity: () => undefined })
  } satisfies ConnectionOptions
})

/** The databases of the process, and its connections to them. */
export interface DatabaseSettings {
  readonly database: DatabaseEndpoint
  /** A session connection for LISTEN, the queue, migrations and advisory locks. */
  readonly databaseDirect: DatabaseEndpoint
  /** Whether `database` is a pooler in transaction mode, which keeps no session settings and no prepared statements. */
  readonly isPooled: boolean
  /** A streaming replica for some reads. */
  readonly databaseRead: DatabaseEndpoint | undefined
  /** Connections for requests and jobs. */
  readonly databasePoolSize: number
}

export const databases = Effect.gen(function* () {
  const configured = yield* optionalSecret("DATABASE_URL")
  if (configured === undefined) return yield* fail("DATABASE_URL", "is required (postgres://…)")
  const defaults = { ca: yield* optional("DATABASE_CA"), mode: yield* text("PGSSLMODE") }
  const database = yield* databaseEndpoint("DATABASE_URL", configured, defaults)
  const direct = yield* optionalSecret("DATABASE_DIRECT_URL")
  const read = yield* optionalSecret("DATABASE_READ_URL")
  const isPooled = direct !== undefined && Redacted.value(direct) !== Redacted.value(configured)
  const settings: DatabaseSettings = {
    database,
    databaseDirect: direct === undefined ? database : yield* databaseEndpoint("DATABASE_DIRECT_URL", direct, defaults),
    databaseRead: read === undefined ? undefined : yield* databaseEndpoint("DATABASE_READ_URL", read, defaults),
    isPooled,
    databasePoolSize: yield* integer("DATABASE_POOL_SIZE", 4, 1_000)
  }
  return settings
})

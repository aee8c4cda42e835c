import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { basename, dirname, join } from "node:path"
import { handOver, type Identity } from "./Identity.ts"
import { supervise } from "./Supervisor.ts"

/** Whether the directory has a cluster. */
export const isCluster = (dataDir: string) => fs.existsSync(join(dataDir, "PG_VERSION"))

/** Creates the cluster in a sibling directory and renames it, so a crash or a parallel start never leaves half a cluster. */
export const initialise = async (dataDir: string, binDir: string, identity: Identity, ephemeral: boolean) => {
  fs.mkdirSync(dirname(dataDir), { recursive: true })
  removeLeftovers(dataDir)
  const scratch = fs.mkdtempSync(`${dataDir}.init-`)
  const made = join(scratch, "data")
  const password = join(scratch, "password")
  try {
    fs.writeFileSync(password, randomBytes(18).toString("base64url"), { mode: 0o600 })
    handOver(scratch, identity)
    handOver(password, identity)
    const initdb = supervise(
      join(binDir, "initdb"),
      [
        `--pgdata=${made}`,
        "--username=postgres",
        "--auth=scram-sha-256",
        `--pwfile=${password}`,
        "--encoding=UTF8",
        "--no-instructions",
        ...localeArguments(join(binDir, "initdb")),
        ...(ephemeral ? ["--no-sync"] : [])
      ],
      identity
    )
    await initdb.exited
    // PG_VERSION is written first, so only the exit code says that the cluster is complete.
    if (initdb.exitCode() !== 0) throw new Error(`initdb failed for ${dataDir}:\n${initdb.tail()}`)
    fs.renameSync(password, join(made, "password"))
    fs.renameSync(made, dataDir)
  } catch (error) {
    if (!isCluster(dataDir)) throw error // a parallel start created the cluster first
  } finally {
    fs.rmSync(scratch, { recursive: true, force: true })
  }
}

/** The same collation and `lower()` on every machine: Postgres' builtin C.UTF-8, or the system's before Postgres 17. */
const localeArguments = (initdb: string): ReadonlyArray<string> => {
  const [major] = /\d+/.exec(execFileSync(initdb, ["--version"], { encoding: "utf8" })) ?? []
  return Number(major) >= 17
    ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    : [`--locale=${process.platform === "linux" ? "C.UTF-8" : "C"}`, "--lc-messages=C"]
}

/** Removes the directories of crashed initialisations; a recent one may belong to a parallel start. */
const removeLeftovers = (dataDir: string) => {
  for (const name of fs.readdirSync(dirname(dataDir))) {
    if (!name.startsWith(`${basename(dataDir)}.init-`)) continue
    const path = join(dirname(dataDir), name)
    const made = fs.statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity
    if (Date.now() - made > 600_000) fs.rmSync(path, { recursive: true, force: true })
  }
}

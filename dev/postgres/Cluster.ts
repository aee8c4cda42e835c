import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { basename, dirname, join } from "node:path"
import { handOver, type Identity } from "./Identity.ts"
import { supervise } from "./Supervisor.ts"

/** Whether there is one in the directory. */
export const isCluster = (dataDir: string) => fs.existsSync(join(dataDir, "PG_VERSION"))

/** Makes the cluster in a sibling and renames it: a crash half-way, or two starters at once, never leave half of one. */
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
    // It writes PG_VERSION first, so only the exit code tells a whole cluster.
    if (initdb.exitCode() !== 0) throw new Error(`initdb failed for ${dataDir}:\n${initdb.tail()}`)
    fs.renameSync(password, join(made, "password"))
    fs.renameSync(made, dataDir)
  } catch (error) {
    if (!isCluster(dataDir)) throw error // else another starter was quicker, and its cluster is as good as ours
  } finally {
    fs.rmSync(scratch, { recursive: true, force: true })
  }
}

/** The same order and the same `lower()` on every machine: Postgres' own C.UTF-8, before Postgres 17 the system's. */
const localeArguments = (initdb: string): ReadonlyArray<string> => {
  const [major] = /\d+/.exec(execFileSync(initdb, ["--version"], { encoding: "utf8" })) ?? []
  return Number(major) >= 17
    ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    : [`--locale=${process.platform === "linux" ? "C.UTF-8" : "C"}`, "--lc-messages=C"]
}

/** Removes what a crashed initialisation left. A young one may be another starter's, at work. */
const removeLeftovers = (dataDir: string) => {
  for (const name of fs.readdirSync(dirname(dataDir))) {
    if (!name.startsWith(`${basename(dataDir)}.init-`)) continue
    const path = join(dirname(dataDir), name)
    const made = fs.statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity
    if (Date.now() - made > 600_000) fs.rmSync(path, { recursive: true, force: true })
  }
}

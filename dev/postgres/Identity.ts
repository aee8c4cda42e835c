import { execFileSync } from "node:child_process"
import * as fs from "node:fs"

/** How commands run as a user other than root: by a prefix command or by other ids. */
export interface Identity {
  readonly prefix: ReadonlyArray<string>
  readonly ids?: { readonly uid: number; readonly gid: number } | undefined
}

/**
 * Postgres refuses to run as root. First choice: a user namespace that maps root to `nobody`; the files stay root's, so it
 * also works below /root. Where namespaces are forbidden (containers): an existing unprivileged user. No user is created.
 * The cluster of another user runs as its owner.
 */
export const unprivileged = (dataDir: string): Identity => {
  if (process.getuid?.() !== 0) return { prefix: [] }
  const owner = fs.statSync(dataDir, { throwIfNoEntry: false })
  if (owner !== undefined && owner.uid !== 0) return { prefix: [], ids: owner }
  const namespace = ["--user", "--map-user=65534", "--map-group=65534", "--"]
  try {
    execFileSync("unshare", [...namespace, "true"], { stdio: "ignore" })
    return { prefix: ["unshare", ...namespace] }
  } catch {
    const users = fs
      .readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => line.split(":"))
    const [, , uid, gid] = users.find(([name]) => name === "postgres") ?? users.find(([name]) => name === "nobody") ?? []
    if (uid === undefined) throw new Error("Postgres cannot run as root here: set DATABASE_URL, or start as another user")
    return { prefix: [], ids: { uid: Number(uid), gid: Number(gid) } }
  }
}

/** Gives a path to the identity. */
export const handOver = (path: string, { ids }: Identity) => {
  if (ids !== undefined) fs.chownSync(path, ids.uid, ids.gid)
}

import { execFileSync } from "node:child_process"
import * as fs from "node:fs"

/** How commands run as somebody other than root: by a command put before them, or by other ids. */
export interface Identity {
  readonly prefix: ReadonlyArray<string>
  readonly ids?: { readonly uid: number; readonly gid: number }
}

/**
 * Postgres refuses to run as root. First choice: a user namespace in which our root is nobody. The files stay root's,
 * so it works below /root too. Where namespaces are forbidden (containers): an existing unprivileged user. No user is
 * ever created. A cluster that already belongs to somebody keeps running as its owner.
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

/** Makes a path theirs. */
export const handOver = (path: string, { ids }: Identity) => {
  if (ids !== undefined) fs.chownSync(path, ids.uid, ids.gid)
}

import { execFileSync } from "node:child_process"
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** A folder with a size of its own, when such a file system can be mounted here. */
export class Disk {
  readonly folder: string
  /** Why it cannot be full; undefined when it can. */
  readonly obstacle: string | undefined

  constructor(folder: string, megabytes: number) {
    this.folder = folder
    mkdirSync(folder, { recursive: true })
    this.obstacle = this.mount(megabytes)
    if (this.obstacle === undefined) process.once("exit", () => this.remove())
  }

  private mount(megabytes: number): string | undefined {
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=755`, "tmpfs", this.folder], { stdio: "pipe" })
      return undefined
    } catch (error) {
      return `no file system can be mounted here (${String(error).split("\n")[1] ?? ""})`
    }
  }

  private get ballast(): string {
    return join(this.folder, "ballast")
  }

  /** Leaves no free space. */
  fill(): void {
    const { bavail, bsize } = statfsSync(this.folder)
    try {
      if (bavail > 0) writeFileSync(this.ballast, Buffer.alloc(bavail * bsize), { flag: "a" })
    } catch {
      // Postgres took a part of it meanwhile.
    }
  }

  free(): void {
    rmSync(this.ballast, { force: true })
  }

  remove(): void {
    if (this.obstacle !== undefined) return
    try {
      execFileSync("umount", ["--lazy", this.folder], { stdio: "pipe" })
    } catch {
      // It was unmounted before.
    }
  }
}

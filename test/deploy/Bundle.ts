import { execFile } from "node:child_process"
import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"

export const run = promisify(execFile)

/** Builds the bundle into a new folder, with only the package that cannot be bundled beside it. */
export const buildBundle = async () => {
  const folder = mkdtempSync(join(tmpdir(), "bundle-"))
  await run(process.execPath, ["scripts/build.ts", join(folder, "dist")])
  cpSync("node_modules/@node-rs", join(folder, "node_modules/@node-rs"), { recursive: true, dereference: true })
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

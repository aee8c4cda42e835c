import { spawnSync } from "node:child_process"

/**
 * The reason for which a test that needs a program is skipped; undefined where the program is installed. With
 * `REQUIRE_TOOLS` set, its lack is a failure.
 */
export const missingTool = (program: string, debianPackage: string): string | undefined => {
  if (spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined) return undefined
  const reason = `${program} is not installed (Debian: apt-get install ${debianPackage})`
  if (process.env["REQUIRE_TOOLS"] !== undefined) throw new Error(reason)
  return `skipped, as ${reason}`
}

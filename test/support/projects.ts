import { globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"

/** Modules that need Postgres, or start the product or other slow programs. */
const needsSystem =
  /^(test\/support\/(Database|Backend|runToEnd)|dev\/EmbeddedPostgres|scripts\/postman\/Server|scripts\/redocly|test\/(?:deploy|readme)\/\w+)\.ts$/

const importsOf = (file: string): ReadonlyArray<string> =>
  [...readFileSync(file, "utf8").matchAll(/^(?:import|export)\s[^"]*?from "(\.{1,2}\/[^"]+\.ts)"/gm)].map(([, path = ""]) =>
    join(dirname(file), path)
  )

/** Whether a test file imports one of them, directly or through others. */
const isSystem = (file: string, seen = new Set<string>()): boolean => {
  if (needsSystem.test(file)) return true
  if (seen.has(file)) return false
  seen.add(file)
  return importsOf(file).some((imported) => isSystem(imported, seen))
}

const files = globSync("test/**/*.test.ts")

/** Test files that need none of them, and those that do. A new file is classified by what it imports. */
export const systemTests = files.filter((file) => isSystem(file))
export const unitTests = files.filter((file) => !systemTests.includes(file))

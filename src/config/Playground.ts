import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { fail, text } from "./Reading.ts"

/** Where `npm run build` puts the page. */
const besideBundle = fileURLToPath(new URL("./web", import.meta.url))

const isBuilt = (folder: string): boolean => existsSync(join(folder, "index.html"))

/** The folder of the page that `/` shows; undefined when it is off, or not built, as in a process that runs from the sources. */
export const playground = Effect.gen(function* () {
  const chosen = yield* text("PLAYGROUND")
  if (chosen === "off") return undefined
  if (chosen === "on") return isBuilt(besideBundle) ? besideBundle : undefined
  return isBuilt(chosen) ? chosen : yield* fail("PLAYGROUND", "must be on, off, or the folder of a built page")
})

import { existsSync } from "node:fs"

/** `npm start`: the bundle if there is one, else the sources. In this very process, so that signals reach the server. */
const bundle = new URL("../dist/main.mjs", import.meta.url)
const entry = existsSync(bundle) ? bundle : new URL("../src/main.ts", import.meta.url)

process.setSourceMapsEnabled(true)
await import(entry.href)

import "./require-node.mjs"
import { existsSync } from "node:fs"

/**
 * `npm start`: the bundle if there is one, else the sources. In this very process, and package.json has the shell
 * `exec` it (or, where a shell cannot, run it): npm passes signals on to the shell alone, and a shell between them
 * would die of one and leave the server behind.
 */
const bundle = new URL("../dist/main.mjs", import.meta.url)
const entry = existsSync(bundle) ? bundle : new URL("../src/main.ts", import.meta.url)

process.setSourceMapsEnabled(true)
await import(entry.href)

import "./require-node.mjs"
import { existsSync } from "node:fs"

/**
 * `npm start`: runs the bundle if there is one, else the sources, in this process. npm passes signals only to its direct
 * child, so package.json lets the shell `exec` this file: a shell in between would die and leave the server running.
 */
const bundle = new URL("../dist/main.mjs", import.meta.url)
const entry = existsSync(bundle) ? bundle : new URL("../src/main.ts", import.meta.url)

process.setSourceMapsEnabled(true)
await import(entry.href)

import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import "./require-node.mjs"

/** `node scripts/run.mjs FILE [ARGS]`: runs a TypeScript file, or says in one line that this Node is too old for it. */
const [file = ""] = process.argv.splice(2, 1)
process.argv[1] = resolve(file)
await import(pathToFileURL(process.argv[1]).href)

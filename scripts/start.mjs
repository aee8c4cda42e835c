// `npm start`: the bundle when there is one (`npm run build`), else the sources.
import { existsSync } from "node:fs"

const bundle = new URL("../dist/main.js", import.meta.url)
await import(existsSync(bundle) ? bundle.href : new URL("../src/main.ts", import.meta.url).href)

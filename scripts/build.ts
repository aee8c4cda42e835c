import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type OutputChunk, rolldown } from "rolldown"
import { buildPage } from "./web.ts"

/**
 * `npm run build [-- folder]`: bundles the product and its packages into `dist` or another folder, and builds the playground
 * into its `web/`. @node-rs/argon2 stays in node_modules, because it is a native addon.
 *
 * Only our own chunks get a source map: Node keeps every map in memory, and that of the packages would take a third of what
 * the whole process needs.
 */
const folder = process.argv[2] ?? "dist"

/** What the product imports when it first needs it. */
const loadedLater = {
  "api-reference": /httpApiScalar/,
  "common-passwords": /[\\/]node_modules[\\/]@zxcvbn-ts[\\/]/,
  google: /[\\/]node_modules[\\/]@google[\\/]genai[\\/]/,
  s3: /[\\/]node_modules[\\/]aws4fetch[\\/]/,
  undici: /[\\/]node_modules[\\/]undici[\\/]/,
  stripe: /[\\/]node_modules[\\/]stripe[\\/]/
}

const bundle = await rolldown({
  input: { main: "src/main.ts", migrate: "scripts/migrate.ts" },
  platform: "node",
  external: ["@node-rs/argon2"]
})
const { output } = await bundle.generate({
  dir: folder,
  format: "esm",
  sourcemap: "hidden",
  sourcemapExcludeSources: true,
  entryFileNames: "[name].mjs",
  chunkFileNames: "[name].mjs",
  codeSplitting: {
    groups: [
      // Loaded when they are first needed, so not in one file with the others.
      ...Object.entries(loadedLater).map(([name, test]) => ({ name, test, priority: 2 })),
      // Google's SDK needs it, too.
      { name: "websocket", test: /[\\/]node_modules[\\/]ws[\\/]/, priority: 3 },
      { name: "packages", test: /[\\/]node_modules[\\/]/, priority: 1 }
    ]
  }
})

/** Node keeps the text of modules in memory: with one character outside Latin-1 it takes two bytes for each. */
const escaped = (code: string): string =>
  code.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

const isOurs = (chunk: OutputChunk) => chunk.moduleIds.some((id) => id.endsWith(".ts") && !/[\\/]node_modules[\\/]/.test(id))

mkdirSync(folder, { recursive: true })
for (const file of output) {
  if (file.type === "asset") continue
  const map = isOurs(file) ? file.map : null
  writeFileSync(
    join(folder, file.fileName),
    map === null ? escaped(file.code) : `${file.code}\n//# sourceMappingURL=${file.fileName}.map\n`
  )
  if (map !== null) writeFileSync(join(folder, `${file.fileName}.map`), map.toString())
}

// The server serves it at /openapi.json.
writeFileSync(join(folder, "openapi.json"), JSON.stringify(JSON.parse(readFileSync("openapi.json", "utf8"))))

await buildPage(join(folder, "web"), { compress: true })
process.stdout.write(`${folder}: written\n`)

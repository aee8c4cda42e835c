import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type OutputChunk, rolldown } from "rolldown"

/**
 * `npm run build [-- folder]`: what production runs, into `dist` or that folder. All of the product and of the packages it uses, but
 * for @node-rs/argon2: that is a native addon, and stays in node_modules.
 *
 * Only our own chunks get a source map. A process that has source maps enabled keeps every map it meets in
 * memory, and that of the packages would cost a third of what the whole process needs.
 */
const folder = process.argv[2] ?? "dist"

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
  codeSplitting: { groups: [{ name: "packages", test: /[\\/]node_modules[\\/]/ }] }
})

const isOurs = (chunk: OutputChunk) => chunk.moduleIds.some((id) => id.endsWith(".ts") && !/[\\/]node_modules[\\/]/.test(id))

mkdirSync(folder, { recursive: true })
for (const file of output) {
  if (file.type === "asset") continue
  const map = isOurs(file) ? file.map : null
  writeFileSync(
    join(folder, file.fileName),
    map === null ? file.code : `${file.code}\n//# sourceMappingURL=${file.fileName}.map\n`
  )
  if (map !== null) writeFileSync(join(folder, `${file.fileName}.map`), map.toString())
}

// The server answers /openapi.json with it.
writeFileSync(join(folder, "openapi.json"), JSON.stringify(JSON.parse(readFileSync("openapi.json", "utf8"))))

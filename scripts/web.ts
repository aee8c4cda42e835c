import { createHash } from "node:crypto"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { brotliCompressSync, constants, gzipSync } from "node:zlib"
import { type OutputChunk, rolldown } from "rolldown"

interface Options {
  /** Whether the files are also written compressed, which takes seconds. */
  readonly compress: boolean
}

/** Wherever the command was started. */
const root = fileURLToPath(new URL("..", import.meta.url))
const source = (path: string): string => readFileSync(join(root, path), "utf8")

const hashOf = (text: string): string => createHash("sha256").update(text).digest("base64url").slice(0, 8)

const bundleScripts = async (): Promise<ReadonlyArray<OutputChunk>> => {
  const bundle = await rolldown({
    cwd: root,
    input: { main: "web/main.tsx" },
    platform: "browser",
    tsconfig: false,
    transform: { target: "es2023", jsx: { runtime: "automatic", importSource: "preact" } }
  })
  const { output } = await bundle.generate({
    format: "esm",
    minify: true,
    entryFileNames: "[name]-[hash].js",
    chunkFileNames: "[name]-[hash].js"
  })
  await bundle.close()
  return output.filter((file) => file.type === "chunk")
}

/** Without comments and indentation; the rest is left to compression. */
const bundleStyles = (): string =>
  globSync("web/style/*.css", { cwd: root })
    .sort()
    .map((file) => source(file).replaceAll(/\/\*[\s\S]*?\*\//g, ""))
    .join("\n")
    .replaceAll(/\s*\n\s*/g, "\n")
    .trim()

const compressed = (text: string) => [
  [".gz", gzipSync(text, { level: 9 })] as const,
  [".br", brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } })] as const
]

/**
 * Builds the playground of `web/` into a folder: `index.html`, and `assets/` with names that contain a hash of their content.
 * `scripts/build.ts` puts it beside the bundle; `npm run dev` builds one of its own.
 */
export const buildPage = async (folder: string, { compress }: Options): Promise<void> => {
  const scripts = await bundleScripts()
  const styles = bundleStyles()
  const icon = source("web/icon.svg")
  const main = scripts.find(({ isEntry }) => isEntry)?.fileName ?? ""
  const assets = new Map(scripts.map(({ code, fileName }) => [fileName, code]))
  const nameIn = (text: string, name: string, ending: string) => {
    const file = `${name}-${hashOf(text)}${ending}`
    assets.set(file, text)
    return file
  }
  const page = source("web/index.html")
    .replace('src="/main.js"', `src="/assets/${main}"`)
    .replace('href="/style.css"', `href="/assets/${nameIn(styles, "style", ".css")}"`)
    .replace('href="/icon.svg"', `href="/assets/${nameIn(icon, "icon", ".svg")}"`)

  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, "assets"), { recursive: true })
  for (const [name, text] of [
    ["index.html", page] as const,
    ...[...assets].map(([file, text]) => [`assets/${file}`, text] as const)
  ]) {
    writeFileSync(join(folder, name), text)
    if (compress) for (const [ending, bytes] of compressed(text)) writeFileSync(join(folder, `${name}${ending}`), bytes)
  }
}

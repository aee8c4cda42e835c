import { createHash } from "node:crypto"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { brotliCompressSync, constants, gzipSync } from "node:zlib"
import { type OutputChunk, rolldown } from "rolldown"

interface Options {
  /** Whether the files are also written compressed, which takes seconds. */
  readonly compress: boolean
}

const hashOf = (text: string): string => createHash("sha256").update(text).digest("base64url").slice(0, 8)

const bundleScripts = async (): Promise<ReadonlyArray<OutputChunk>> => {
  const bundle = await rolldown({
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
  globSync("web/style/*.css")
    .sort()
    .map((file) => readFileSync(file, "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, ""))
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
  const icon = readFileSync("web/icon.svg", "utf8")
  const main = scripts.find(({ isEntry }) => isEntry)?.fileName ?? ""
  const assets = new Map(scripts.map(({ code, fileName }) => [fileName, code]))
  const nameIn = (text: string, name: string, ending: string) => {
    const file = `${name}-${hashOf(text)}${ending}`
    assets.set(file, text)
    return file
  }
  const page = readFileSync("web/index.html", "utf8")
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

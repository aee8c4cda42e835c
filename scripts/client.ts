import { spawnSync } from "node:child_process"
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { rolldown } from "rolldown"

const root = fileURLToPath(new URL("..", import.meta.url))
const textOf = (path: string): string => readFileSync(join(root, path), "utf8")

/** One module, with the parser of events in it, so that the package has no dependencies. */
const bundleModule = async (folder: string): Promise<void> => {
  const bundle = await rolldown({ cwd: root, input: "client/src/index.ts", platform: "neutral", tsconfig: false })
  await bundle.write({ file: join(folder, "dist/index.js"), format: "esm", comments: { legal: true, jsdoc: false } })
  await bundle.close()
}

const writeDeclarations = (folder: string): void => {
  const compiler = join(root, "node_modules/typescript/bin/tsc")
  const options = ["--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--outDir", join(folder, "dist")]
  const { status, stdout } = spawnSync(process.execPath, [compiler, "-p", join(root, "client"), ...options], { encoding: "utf8" })
  if (status !== 0) throw new Error(`the client's declarations cannot be written: ${stdout}`)
  for (const file of globSync("dist/*.d.ts", { cwd: folder })) {
    const place = join(folder, file)
    // The compiler keeps the `.ts` of imports.
    writeFileSync(place, readFileSync(place, "utf8").replaceAll(/(from "\.\/\w+)\.ts"/g, '$1.js"'))
  }
}

/**
 * Builds the client package of `client/` into a folder, from which `npm pack` makes the tarball. The version is that of the
 * product.
 */
export const buildClient = async (folder: string): Promise<void> => {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, "dist"), { recursive: true })
  await bundleModule(folder)
  writeDeclarations(folder)
  const { version }: { readonly version: string } = JSON.parse(textOf("package.json"))
  writeFileSync(join(folder, "package.json"), JSON.stringify({ ...JSON.parse(textOf("client/package.json")), version }, null, 2))
  copyFileSync(join(root, "client/README.md"), join(folder, "README.md"))
  const parser = textOf("node_modules/eventsource-parser/LICENSE")
  writeFileSync(join(folder, "LICENSE"), `${textOf("LICENSE")}\n\ndist/index.js contains eventsource-parser:\n\n${parser}`)
}

/** `npm run build:client [-- folder]`: by default into `dist/client`. */
if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await buildClient(resolve(process.argv[2] ?? "dist/client"))
}

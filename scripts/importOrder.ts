import { globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"

/**
 * The folders of `src`, in the order of their imports: a file imports its own folder and folders before it, never one after
 * it. `npm run check` and the tests enforce this order.
 */
export const folders = [
  "api", // the contract: routes, schemas, problems
  "config", // settings
  "keys", // MACs under the configured keys
  "ops", // the process: logging, telemetry, draining, request slots, launch
  "database", // connections, migrations, notifications, notified caches
  "queue", // announcements and the worker
  "http", // what handlers share: cursors, idempotency keys, client addresses, the request guard
  "gemini", // the client of Google's API
  "auth",
  "models", // the models that users may choose
  "files", // users' files and where their bytes are
  "chat", // chatrooms, messages, quota
  "shares", // links under which a part of a room can be read
  "billing", // Stripe
  "stream", // texts while they are written, and their readers
  "replies", // making a reply
  "aisdk", // the chat as Vercel's AI SDK speaks it
  "openai", // OpenAI's API
  "account", // a user's own data
  "server" // composition: pipeline, admission, routes, pages
]

export interface Import {
  readonly from: string
  readonly to: string
}

/** The imports between files, types included, that `sources` state. */
export const importsOf = (sources: ReadonlyMap<string, string>): ReadonlyArray<Import> =>
  [...sources].flatMap(([from, source]) =>
    [...source.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)"(\.{1,2}\/[^"]+)"/g)].map(([, path = ""]) => ({
      from,
      to: join(dirname(from), path)
    }))
  )

/** The folder of a file; files directly in `src` (main.ts, App.ts) may import all folders. */
const folderOf = (file: string): string | undefined => /^src\/([^/]+)\//.exec(file)?.[1]

const level = (file: string): number => {
  const folder = folderOf(file)
  return folder === undefined ? folders.length : folders.indexOf(folder)
}

/** What is wrong: a folder that is not in the order, or an import that runs against it. */
export const faultsOf = (imports: ReadonlyArray<Import>): ReadonlyArray<string> =>
  imports.flatMap(({ from, to }) => {
    const unknown = [from, to].find((file) => level(file) === -1)
    if (unknown !== undefined) return [`${unknown}: its folder is not in the order of scripts/importOrder.ts`]
    if (!to.startsWith("src/") && !to.startsWith("migrations/") && folderOf(from) !== undefined) {
      return [`${from} imports ${to}, which does not ship`]
    }
    return to.startsWith("src/") && level(to) > level(from) ? [`${from} imports ${to}, whose folder comes after its own`] : []
  })

export const importsOfSource = (): ReadonlyArray<Import> =>
  importsOf(new Map(globSync("src/**/*.ts").map((file) => [file, readFileSync(file, "utf8")])))

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const imports = importsOfSource()
  const between = imports.filter(({ from, to }) => folderOf(from) !== folderOf(to))
  const faults = faultsOf(imports)
  process.stdout.write(`${folders.join(" < ")}\n${between.length} imports between folders, ${faults.length} against the order\n`)
  for (const fault of faults) process.stderr.write(`${fault}\n`)
  if (faults.length > 0) process.exitCode = 1
}

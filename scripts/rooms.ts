import { globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"

/**
 * The folders of `src`, from the ground up. A file imports its own folder and folders before it, never one after it.
 * This list is the only place where the order is written; `npm run check` and the tests hold every folder to it.
 */
export const rooms = [
  "api", // the contract: routes, schemas, problems
  "config", // settings
  "keys", // MACs under the configured keys
  "ops", // the process: logging, telemetry, draining, request slots, launch
  "database", // connections, migrations, notifications, notified caches
  "queue", // announcements and the worker
  "http", // what handlers share: cursors, idempotency keys, client addresses, the request guard
  "gemini", // Google's API behind a port
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

/** The room of a file; files directly in `src` (main.ts, App.ts) are above all rooms. */
const roomOf = (file: string): string | undefined => /^src\/([^/]+)\//.exec(file)?.[1]

const level = (file: string): number => {
  const room = roomOf(file)
  return room === undefined ? rooms.length : rooms.indexOf(room)
}

/** What is wrong: a folder that is not in the order, or an import that runs against it. */
export const faultsOf = (imports: ReadonlyArray<Import>): ReadonlyArray<string> =>
  imports.flatMap(({ from, to }) => {
    const unknown = [from, to].find((file) => level(file) === -1)
    if (unknown !== undefined) return [`${unknown}: its folder is not in the order of scripts/rooms.ts`]
    if (!to.startsWith("src/") && !to.startsWith("migrations/") && roomOf(from) !== undefined) {
      return [`${from} imports ${to}, which does not ship`]
    }
    return to.startsWith("src/") && level(to) > level(from) ? [`${from} imports ${to}, a room above its own`] : []
  })

export const importsOfSource = (): ReadonlyArray<Import> =>
  importsOf(new Map(globSync("src/**/*.ts").map((file) => [file, readFileSync(file, "utf8")])))

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const imports = importsOfSource()
  const between = imports.filter(({ from, to }) => roomOf(from) !== roomOf(to))
  const faults = faultsOf(imports)
  process.stdout.write(`${rooms.join(" < ")}\n${between.length} imports between rooms, ${faults.length} against the order\n`)
  for (const fault of faults) process.stderr.write(`${fault}\n`)
  if (faults.length > 0) process.exitCode = 1
}

import { execFile, execFileSync } from "node:child_process"
import {
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { homedir, tmpdir } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { promisify } from "node:util"
import { contextOf, execForm, parseDockerfile, type Stage, type Step } from "./DockerfileParser.ts"

const run = promisify(execFile)
const users: Readonly<Record<string, number>> = { root: 0, node: 1000 }
const baseImage = "node:26-slim"

/**
 * Runs a command with a stage's folder as its root, as PID 1 of new namespaces that end with it. Mounts the base image first:
 * this machine's Debian, read-only, with our Node in /usr/local and the image's own users; then the paths that a build
 * borrows from this machine.
 */
const enter = `set -e
root=$1 user=$2 folder=$3 base=$4 node=$5 borrowed=$6; shift 6
for part in usr etc bin sbin lib lib64; do
  if [ -d "/$part" ] && [ ! -L "/$part" ]; then mount --bind -o ro "/$part" "$root/$part"; fi
done
mount --bind "$base/local" "$root/usr/local"
mount --bind -o ro "$node" "$root/usr/local/bin/node"
mount --bind -o ro "$base/passwd" "$root/etc/passwd"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
for path in $borrowed; do
  if [ -d "$path" ]; then mkdir -p "$root$path"; else mkdir -p "$root\${path%/*}"; touch "$root$path"; fi
  mount --bind "$path" "$root$path"
done
exec chroot --userspec="$user:$user" "$root" /usr/bin/env -C "$folder" "$@"`

const unshare = ["--mount", "--pid", "--fork", "--kill-child"]

/** Why the steps cannot run on this machine; undefined when they can. */
export const obstacle = (): string | undefined => {
  if (process.platform !== "linux") return "an image needs Linux"
  if (process.getuid?.() !== 0) return "only root may change the root folder"
  if (!existsSync("/usr/bin/npm")) return "npm is not in /usr/bin"
  if (!process.version.startsWith("v26.")) return `the base image has Node 26, and this is ${process.version}`
  try {
    execFileSync("unshare", [...unshare, "mount", "-t", "tmpfs", "tmpfs", tmpdir()], { stdio: "pipe" })
    return undefined
  } catch {
    return "namespaces cannot be created here"
  }
}

/** What `npm ci` needs of this machine and the image must not contain: the cache and the registry's address. */
const { HOME = homedir(), npm_config_cache = join(HOME, ".npm"), npm_config_userconfig = join(HOME, ".npmrc") } = process.env
const borrowed = [npm_config_cache, npm_config_userconfig].filter((path) => existsSync(path))
const borrowedEnvironment = Object.entries({
  ...process.env,
  npm_config_cache,
  npm_config_userconfig,
  npm_config_prefer_offline: "true"
})
  .filter(([name]) =>
    /^(npm_config_(cache|cafile|userconfig|registry|prefer_offline)|(https?|no)_proxy|NODE_EXTRA_CA_CERTS)$/i.test(name)
  )
  .map(([name, value]) => `${name}=${value}`)

/** A stage: its root folder and the settings of its image. */
class ImageStage {
  readonly root: string
  readonly #base: string
  readonly #env = new Map([["PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]])
  #folder = "/"
  user = "root"
  cmd: ReadonlyArray<string> = []
  healthcheck: ReadonlyArray<string> = []

  constructor(folder: string, base: string) {
    this.root = folder
    this.#base = base
    for (const name of ["app", "dev", "etc", "home/node", "proc", "root", "tmp", "usr"])
      mkdirSync(join(folder, name), { recursive: true })
    chownSync(join(folder, "home/node"), 1000, 1000)
    for (const name of ["bin", "sbin", "lib", "lib64"]) {
      if (lstatSync(`/${name}`).isSymbolicLink()) symlinkSync(readlinkSync(`/${name}`), join(folder, name))
      else mkdirSync(join(folder, name))
    }
  }

  /** The program that runs a command in this stage; the image's environment overrides the caller's. */
  program(command: ReadonlyArray<string>, lent: ReadonlyArray<string> = []): { command: string; args: ReadonlyArray<string> } {
    const uid = String(users[this.user])
    const env = [
      `HOME=${this.user === "root" ? "/root" : `/home/${this.user}`}`,
      ...this.#env.entries().map((entry) => entry.join("=")),
      ...lent
    ]
    const place = [this.root, uid, this.#folder, this.#base, process.execPath, lent.length === 0 ? "" : borrowed.join(" ")]
    return { command: "unshare", args: [...unshare, "--", "/bin/sh", "-c", enter, "sh", ...place, ...env, ...command] }
  }

  #inside(path: string): string {
    return join(this.root, resolve(this.#folder, path))
  }

  #copy(from: string, sources: ReadonlyArray<string>, target: string, files: ReadonlyArray<string> | undefined) {
    for (const source of sources) {
      if (/[*?[]/.test(source)) throw new Error(`cannot copy a pattern: ${source}`)
      const at = join(from, source)
      const isFolder = statSync(at).isDirectory()
      const to = this.#inside(isFolder || !target.endsWith("/") ? target : join(target, basename(source)))
      const isTaken = (path: string) => files === undefined || files.some((file) => `${join(from, file)}/`.startsWith(`${path}/`))
      if (!isTaken(at)) throw new Error(`the build context lacks ${source}`)
      mkdirSync(dirname(to), { recursive: true })
      cpSync(at, to, { recursive: isFolder, verbatimSymlinks: true, filter: (path) => isTaken(path) })
    }
  }

  async apply({ flags, name, rest }: Step, context: string, stages: ReadonlyMap<string, ImageStage>): Promise<void> {
    const words = rest.split(/\s+/)
    const [first = ""] = words
    if (name === "WORKDIR") {
      this.#folder = resolve(this.#folder, first)
      mkdirSync(this.#inside("."), { recursive: true })
    } else if (name === "COPY") {
      const stage = stages.get(flags["from"] ?? "")
      if (flags["from"] !== undefined && stage === undefined) throw new Error(`there is no stage ${flags["from"]}`)
      const target = words.at(-1) ?? ""
      this.#copy(stage?.root ?? context, words.slice(0, -1), target, stage === undefined ? contextOf(context) : undefined)
    } else if (name === "RUN") {
      const { args, command } = this.program(["/bin/sh", "-c", rest], borrowedEnvironment)
      await run(command, args, { env: {}, maxBuffer: 2 ** 26 })
    } else if (name === "ENV") {
      for (const [, key = "", value = ""] of rest.matchAll(/(\w+)=(\S+)/g)) this.#env.set(key, value)
    } else if (name === "USER") this.user = first
    else if (name === "CMD") this.cmd = execForm(rest)
    else if (name === "HEALTHCHECK") this.healthcheck = execForm(rest.replace(/^CMD\s+/, ""))
  }
}

export type Image = ImageStage

const build = async (
  { base, steps }: Stage,
  folder: string,
  hostBase: string,
  context: string,
  stages: ReadonlyMap<string, Image>
) => {
  if (base !== baseImage) throw new Error(`cannot build from ${base}`)
  const stage = new ImageStage(folder, hostBase)
  for (const step of steps) await stage.apply(step, context, stages)
  return stage
}

/** Runs every stage of a folder's Dockerfile; the last one is the image. */
export const buildImage = async (context: string): Promise<{ image: Image; remove: () => void }> => {
  const folder = mkdtempSync(join(tmpdir(), "image-"))
  const base = join(folder, "base")
  mkdirSync(join(base, "local/bin"), { recursive: true })
  writeFileSync(join(base, "local/bin/node"), "")
  writeFileSync(join(base, "passwd"), "root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n")
  const stages = new Map<string, Image>()
  for (const [index, stage] of parseDockerfile(readFileSync(join(context, "Dockerfile"), "utf8")).entries()) {
    const name = stage.name ?? String(index)
    stages.set(name, await build(stage, join(folder, name), base, resolve(context), stages))
  }
  const image = [...stages.values()].at(-1)
  if (image === undefined) throw new Error("the Dockerfile has no stage")
  return { image, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** The id, outside, of the process that is PID 1 inside: the one that a container engine signals. */
export const pidInside = (pid: number): number => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim())

import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** An instruction: its name in capitals, its flags, and the rest of its line. */
export interface Step {
  readonly name: string
  readonly flags: Readonly<Record<string, string>>
  readonly rest: string
}

export interface Stage {
  readonly base: string
  readonly name: string | undefined
  readonly steps: ReadonlyArray<Step>
}

const known = ["FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "CMD"]

const parseStep = (line: string): Step => {
  const [, name = "", tail = ""] = /^(\w+)\s+(.*)$/s.exec(line) ?? []
  if (!known.includes(name)) throw new Error(`unsupported instruction: ${name || line}`)
  const flags: Record<string, string> = {}
  const rest = tail.replace(/^(?:--[\w-]+=\S+\s+)+/, (given) => {
    for (const [, flag = "", value = ""] of given.matchAll(/--([\w-]+)=(\S+)/g)) flags[flag] = value
    return ""
  })
  return { name, flags, rest: rest.trim() }
}

/** The stages of a Dockerfile; an unsupported instruction is an error. */
export const parseDockerfile = (text: string): ReadonlyArray<Stage> => {
  const lines = text
    .replace(/^\s*#.*\n/gm, "")
    .replace(/\\\n/g, " ")
    .split("\n")
  const steps = lines.filter((line) => line.trim() !== "").map((line) => parseStep(line.trim()))
  const stages: Array<{ base: string; name: string | undefined; steps: Array<Step> }> = []
  for (const step of steps) {
    if (step.name === "FROM") {
      const [, base = "", name] = /^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(step.rest) ?? []
      stages.push({ base, name, steps: [] })
    } else {
      stages.at(-1)?.steps.push(step)
    }
  }
  return stages
}

/** The words of the exec form. The shell form is refused, because a shell does not pass signals to the server. */
export const execForm = (text: string): ReadonlyArray<string> => {
  const words: unknown = JSON.parse(text)
  if (!Array.isArray(words) || !words.every((word) => typeof word === "string")) throw new Error(`not in exec form: ${text}`)
  return words
}

const glob = (pattern: string) =>
  new RegExp(
    `^${pattern
      .replace(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
      .replace(/\*\*\/?|\*|\?/g, (found) => (found === "?" ? "[^/]" : found === "*" ? "[^/]*" : ".*"))}$`
  )

/** Docker's rules: a pattern covers the content of a folder it names, and the last matching pattern decides. */
const parseIgnore = (text: string): ((path: string) => boolean) => {
  const rules = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => ({ isException: line.startsWith("!"), pattern: glob(line.replace(/^!/, "").replace(/^\/+|\/+$/g, "")) }))
  return (path) => {
    const parts = path.split("/")
    const parents = parts.map((_, index) => parts.slice(0, index + 1).join("/"))
    return rules.reduce(
      (ignored, { isException, pattern }) => (parents.some((at) => pattern.test(at)) ? !isException : ignored),
      false
    )
  }
}

/** The files of a folder that `.dockerignore` leaves in the build context. */
export const contextOf = (folder: string): ReadonlyArray<string> => {
  const text = readFileSync(join(folder, ".dockerignore"), "utf8")
  const isIgnored = parseIgnore(text)
  // A folder without exceptions is skipped as a whole.
  const mayHold = (path: string) => !isIgnored(path) || text.split("\n").some((line) => line.startsWith(`!${path}/`))
  const walk = (path: string): Array<string> =>
    readdirSync(join(folder, path), { withFileTypes: true }).flatMap((entry) => {
      const at = path === "" ? entry.name : `${path}/${entry.name}`
      if (entry.isDirectory()) return mayHold(at) ? walk(at) : []
      return isIgnored(at) ? [] : [at]
    })
  return walk("")
}

import { spawn } from "node:child_process"

/** A command of the README's walk-through, and what it says that is printed. */
export interface Step {
  readonly command: string
  readonly documented: string
}

export const stepsOf = (readme: string): ReadonlyArray<Step> => {
  const [, walkthrough = ""] = /<!-- walkthrough -->([^]*)<!-- \/walkthrough -->/.exec(readme) ?? []
  const blocks = [...walkthrough.matchAll(/^```console\n([^]*?)^```$/gm)].map(([, text = ""]) => text)
  return blocks.flatMap((block) =>
    block
      .split(/^\$ /m)
      .slice(1)
      .map((step) => {
        const [command = "", ...documented] = step.split("\n")
        return { command, documented: documented.join("\n").trim() }
      })
  )
}

/** Runs the commands one after the other in one shell and returns what each printed. */
export const runSteps = async (steps: ReadonlyArray<Step>, cwd: string): Promise<ReadonlyArray<string>> => {
  const mark = crypto.randomUUID()
  const script = steps.map(({ command }) => `${command}\necho; echo ${mark}`).join("\n")
  const shell = spawn("bash", ["-c", script], { cwd, stdio: ["ignore", "pipe", "pipe"], timeout: 120_000 })
  let output = ""
  for (const stream of [shell.stdout, shell.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text))
  await new Promise((resolve) => shell.once("close", resolve))
  return output
    .split(mark)
    .slice(0, steps.length)
    .map((text) => text.replaceAll("\r", "").trim())
}

const varying = [
  /[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/, // ids
  /\d{4}-\d\d-\d\dT[\d:.]+Z/, // times
  /[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} GMT/, // the Date header
  /\d{2,}/ // codes, seconds, ports
]
const pieces = new RegExp(`(…|${varying.map(({ source }) => source).join("|")})`)

/** What the documented text allows: `…` is anything, alone on a line also none; what differs from run to run is anything of its kind. */
export const patternOf = (documented: string): RegExp => {
  const source = documented
    .replaceAll(/^…\n/gm, "…")
    .split(pieces)
    .map((piece, index) => {
      if (index % 2 === 0) return piece.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&")
      return piece === "…" ? "[^]*" : (varying.find((kind) => new RegExp(`^(?:${kind.source})$`).test(piece))?.source ?? "")
    })
    .join("")
  return new RegExp(`^${source}$`)
}

import { spawn } from "node:child_process"
import type { Step } from "../../scripts/walkthrough.ts"

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
  /\d{2,}/ // codes, numbers, seconds, ports
]
const pieces = new RegExp(`(…|${varying.map(({ source }) => source).join("|")})`)

/**
 * What the documented text allows: `…` stands for any text, and alone on a line also for no line; an id, a time or a
 * number stands for any other of its kind.
 */
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

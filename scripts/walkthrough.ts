import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { pathToFileURL } from "node:url"

/** A block of commands in the README's walk-through, and the output that the README shows under it. */
export interface Step {
  readonly command: string
  readonly documented: string
}

/** The `sh` blocks of the walk-through, each with the block of output that follows it, if one does. */
export const stepsOf = (readme: string): ReadonlyArray<Step> => {
  const [, walkthrough = ""] = /<!-- walkthrough -->([^]*)<!-- \/walkthrough -->/.exec(readme) ?? []
  const blocks = [...walkthrough.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(([, language = "", text = ""]) => ({
    language,
    text
  }))
  return blocks.flatMap(({ language, text }, index) => {
    const next = blocks[index + 1]
    const documented = next === undefined || next.language === "sh" ? "" : next.text.trim()
    return language === "sh" ? [{ command: text.trimEnd(), documented }] : []
  })
}

/** `npm run try`: runs the walk-through against the `npm run dev` that listens at `PORT`. */
const run = async () => {
  const host = `localhost:${process.env["PORT"] ?? "3000"}`
  const isUp = await fetch(`http://${host}/healthz`).then(
    ({ ok }) => ok,
    () => false
  )
  if (!isUp) {
    process.stderr.write(`http://${host} does not answer: start it with npm run dev\n`)
    return 1
  }
  const commands = stepsOf(readFileSync("README.md", "utf8")).map(({ command }) => `${command}\n\n`)
  const input = commands.join("").replaceAll("localhost:3000", host)
  // `-v` prints each command before its output.
  return spawnSync("sh", ["-v"], { input, stdio: ["pipe", "inherit", "inherit"] }).status ?? 1
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) process.exitCode = await run()

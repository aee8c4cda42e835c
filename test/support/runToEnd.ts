import { spawn } from "node:child_process"

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program of this repository with exactly this environment until it exits. */
export const runToEnd = (
  program: string,
  env: Readonly<Record<string, string>>,
  args: ReadonlyArray<string> = []
): Promise<Ended> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...args], { env, stdio: ["ignore", "pipe", "pipe"] })
    const output = { stdout: "", stderr: "" }
    child.stdout.on("data", (chunk) => (output.stdout += String(chunk)))
    child.stderr.on("data", (chunk) => (output.stderr += String(chunk)))
    child.once("close", (code) => resolve({ code, ...output }))
  })

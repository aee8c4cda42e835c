import { spawn } from "node:child_process"
import { once } from "node:events"
import { onTestFinished } from "vitest"

/** Starts a simulator's `main.ts` as a process, which is killed when the test ends, and reads its URL from its output. */
export const startMain = async (main: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) => {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"]
  })
  onTestFinished(() => void child.kill("SIGKILL"))
  const [line] = await once(child.stdout, "data")
  const [, url = ""] = /^ready (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(String(line)) ?? []
  return { child, url }
}

import { startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startProcess } from "../support/Backend.ts"
import { createDatabase } from "../support/Database.ts"

export type StreamProcess = Awaited<ReturnType<typeof startProcess>>
export type StreamProcesses = Awaited<ReturnType<typeof makeStreamProcesses>>

/** Real processes of one role each, on a database and a simulator of their own. */
export const makeStreamProcesses = async () => {
  const database = await createDatabase()
  const gemini = await startGeminiSimulator({ chunkMillis: 1 })
  const running: Array<StreamProcess> = []
  return {
    database,
    start: async (role: "api" | "worker") => {
      const process = await startProcess({
        DATABASE_URL: database.url,
        GEMINI_BASE_URL: gemini.url,
        ROLE: role,
        BASIC_DAILY_PROMPTS: "1000"
      })
      running.push(process)
      await process.started()
      return process
    },
    stop: async () => {
      await Promise.all(running.map((process) => process.kill("SIGKILL")))
      await gemini.stop()
      await database.drop()
    }
  }
}

/** Runs the Gemini simulator as a process: `node simulators/gemini/main.ts [port]`, or `PORT`, or else any free port. */
import { startGeminiSimulator } from "./GeminiSimulator.ts"

const simulator = await startGeminiSimulator({ port: Number(process.argv[2] ?? process.env["PORT"] ?? 0) })
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void simulator.stop())
console.log(`ready ${simulator.url}`)

import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { rolldown } from "rolldown"

/** Builds the page and serves it on `PORT`. Its address must be one of the server's `CORS_ORIGINS`. */
const port = Number(process.env["PORT"] ?? 5173)
const chatUrl = process.env["CHAT_URL"] ?? "http://localhost:3000"

const build = await rolldown({
  cwd: import.meta.dirname,
  input: "main.tsx",
  platform: "browser",
  logLevel: "silent",
  transform: {
    jsx: { runtime: "automatic" },
    define: { CHAT_URL: JSON.stringify(chatUrl), "process.env.NODE_ENV": '"production"' }
  }
})
const { output } = await build.generate({ format: "esm", minify: true, codeSplitting: false })
await build.close()

const page = readFileSync(join(import.meta.dirname, "index.html"))
const server = createServer((request, response) => {
  if (request.url === "/main.js") response.setHeader("content-type", "text/javascript").end(output[0].code)
  else response.setHeader("content-type", "text/html; charset=utf-8").end(page)
})
server.listen(port, "127.0.0.1", () => console.log(`http://localhost:${port}`))

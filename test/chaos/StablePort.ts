import { createServer } from "node:net"

/** Whether no process listens on the port. */
const isFree = (port: number): Promise<boolean> =>
  new Promise((answer) => {
    const probe = createServer()
      .once("error", () => answer(false))
      .listen(port, "127.0.0.1", () => probe.close(() => answer(true)))
  })

let nextPort = 15_000 + (process.pid % 1_000) * 10

/** A free port outside the range of outgoing connections, so that it is still free when its process restarts. */
export const stablePort = async (): Promise<number> => {
  while (!(await isFree(nextPort))) nextPort++
  return nextPort++
}

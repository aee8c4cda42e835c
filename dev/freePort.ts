import { randomInt } from "node:crypto"
import { once } from "node:events"
import { createServer } from "node:net"

/** The lowest port that Linux gives to a socket that asks for any, unless it is configured differently. */
const firstEphemeralPort = 32_768

/** Whether no process of this machine listens on the port now. */
export const isFree = async (port: number): Promise<boolean> => {
  const probe = createServer().listen(port, "127.0.0.1")
  try {
    await once(probe, "listening")
  } catch {
    return false
  }
  probe.close()
  await once(probe, "close")
  return true
}

/**
 * A port of this machine that no process listens on now. It lies below the ephemeral ports, so that no other socket is
 * given it before the caller listens on it.
 */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = randomInt(10_000, firstEphemeralPort)
    if (await isFree(port)) return port
  }
}

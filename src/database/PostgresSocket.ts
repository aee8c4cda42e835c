import type { Duplex } from "node:stream"
import type { DatabaseEndpoint } from "../config/DatabaseUrl.ts"
import { sendTogether } from "./CorkedWrites.ts"
import { NegotiatedSocket } from "./NegotiatedSocket.ts"
import { PlainSocket } from "./PlainSocket.ts"

/**
 * Makes the sockets of one database, for both drivers: encrypted as its `sslmode` says, and destroyed when the server
 * is silent for `maximumSilenceMillis`, which must be more than the longest statement may take.
 */
export const postgresSockets = (
  endpoint: DatabaseEndpoint,
  maximumSilenceMillis: number,
  sendsTogether = false
): (() => Duplex) => {
  // Where TLS is only preferred, a server without it is not asked again until a connection breaks.
  let isPlain = endpoint.tls === "off"
  return () => {
    if (!isPlain) return new NegotiatedSocket(endpoint, maximumSilenceMillis, sendsTogether, () => void (isPlain = true))
    const socket = new PlainSocket(endpoint, maximumSilenceMillis)
    if (sendsTogether) sendTogether(socket)
    if (endpoint.tls !== "off") socket.once("error", () => void (isPlain = false))
    return socket
  }
}

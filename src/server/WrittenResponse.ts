import type { AdmittedSlot } from "./Admission.ts"
import type { Share } from "./ClientShares.ts"

interface Written {
  readonly destroyed: boolean
  readonly socket: { readonly writableLength: number } | null
  readonly writableEnded: boolean
  once(event: "close", listener: () => void): unknown
}

/**
 * Keeps the slot of a response until it is written, or its client does not read it. `bytes` is what the process keeps for
 * it: nothing when the kernel took all of it, as it takes almost every response.
 */
export const holdUntilWritten = (
  { socket }: { readonly socket: { destroy(): unknown } },
  response: Written,
  slot: AdmittedSlot,
  bytes: number
): void => {
  if (response.destroyed || (response.writableEnded && response.socket?.writableLength === 0)) return slot.release()
  const end: Share["end"] = (cause) => {
    // The response to an earlier request of the connection is still being written.
    if (cause === "idle" && response.socket === null) slot.write(bytes, end)
    else socket.destroy()
  }
  slot.write(bytes, end)
  response.once("close", slot.release)
}

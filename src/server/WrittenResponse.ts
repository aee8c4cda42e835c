import type { AdmittedSlot } from "./Admission.ts"
import type { Share } from "./ClientShares.ts"

interface Written {
  readonly socket: object | null
  once(event: "close", listener: () => void): unknown
}

/** Keeps the slot until the response is written, or its client does not read it. `bytes` is what the process keeps for it. */
export const holdUntilWritten = (
  { socket }: { readonly socket: { destroy(): unknown } },
  response: Written,
  slot: AdmittedSlot,
  bytes: number
): void => {
  const end: Share["end"] = (cause) => {
    // The response to an earlier request of the connection is still being written.
    if (cause === "idle" && response.socket === null) slot.write(bytes, end)
    else socket.destroy()
  }
  slot.write(bytes, end)
  response.once("close", slot.release)
}

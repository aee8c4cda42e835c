import { maximumWait } from "../api/chat/ChatApi.ts"
import { preferredWait } from "../chat/PreferredWait.ts"

interface WaitingRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
}

/** The seconds that a request asks to wait, by `?wait` or else by `Prefer`, as its handler reads them; undefined without one. */
export const requestedWait = ({ headers, url }: WaitingRequest): number | undefined => {
  if (headers["prefer"] === undefined && !url.includes("wait=")) return undefined
  const asked = new URLSearchParams(url.split("?", 2)[1]).get("wait")
  return asked === null ? preferredWait(headers["prefer"]) : Math.max(0, Math.min(Number(asked) || 0, maximumWait))
}

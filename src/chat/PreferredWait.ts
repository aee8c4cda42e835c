import { maximumWait } from "../api/chat/ChatApi.ts"

/** RFC 7240: the seconds of `Prefer: wait=N`, at most `maximumWait`; 0 when the header has no such preference. */
export const preferredWait = (prefer: string | undefined): number => {
  const seconds = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})/i.exec(prefer ?? "")?.[1]
  return seconds === undefined ? 0 : Math.min(Number(seconds), maximumWait)
}

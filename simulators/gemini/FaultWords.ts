import { BREAKING_KINDS, type Fault } from "./Fault.ts"
import { MOST_CHUNKS, numberAfter, toCount, toStatus } from "./WordArguments.ts"

/** The fault that a magic word means; undefined for any other word. */
export const readFault = (word: string, args: ReadonlyArray<string>): Fault | undefined => {
  const after = toCount(args[0], MOST_CHUNKS) ?? 1
  const breaking = BREAKING_KINDS.find((kind) => kind === word)
  if (breaking) return { kind: breaking, after }
  switch (word) {
    case "html":
    case "reset":
    case "hang":
    case "empty":
    case "badjson":
    case "notfit":
      return { kind: word }
    case "error":
      return { kind: "error", after, status: toStatus(args[args.indexOf("status") + 1]) ?? 503 }
    case "blocked":
      return { kind: "blocked", reason: isReason(args[0]) ? args[0] : "SAFETY" }
    case "finish":
      if (!isReason(args[0])) return undefined
      return { kind: "finish", reason: args[0], after: toCount(args[1], MOST_CHUNKS) ?? 0 }
    case "status":
      return readStatus(args)
    default:
      return undefined
  }
}

const readStatus = (args: ReadonlyArray<string>): Fault | undefined => {
  const status = toStatus(args[0])
  if (status === undefined) return undefined
  const retryDelaySeconds = numberAfter(args, "retry")
  return {
    kind: "status",
    status,
    perDay: args.includes("perday"),
    inList: args.includes("list"),
    ...(retryDelaySeconds === undefined ? {} : { retryDelaySeconds })
  }
}

const isReason = (arg: string | undefined): arg is string => arg !== undefined && /^[A-Z_]+$/.test(arg)

import { createHash } from "node:crypto"
import type { ChosenSettings } from "../models/Settings.ts"

/**
 * The hash of a request, by which a repeated idempotency key is recognised as the same request. The settings count only
 * where there are some, so that keys of the previous release are known.
 */
export const hashOf = (parts: ReadonlyArray<string>, settings: ChosenSettings): string => {
  const names = Object.keys(settings).toSorted()
  const request = names.length === 0 ? parts : [...parts, JSON.stringify(settings, names)]
  // A list of names drops the members of nested objects.
  const format = settings.responseFormat === undefined ? [] : [JSON.stringify(settings.responseFormat)]
  const { level, summaries } = settings.thinking ?? {}
  const thinking = settings.thinking === undefined ? [] : [`thinking ${level} ${summaries}`]
  return createHash("sha256")
    .update([...request, ...format, ...thinking].join("\n"))
    .digest("base64url")
}

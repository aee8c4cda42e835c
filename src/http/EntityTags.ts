import { createHash } from "node:crypto"
import { plainTag } from "./Precompressed.ts"

/** A strong validator of a body (RFC 9110, 8.8.3): its hash. */
export const entityTag = (body: Uint8Array | string): string =>
  `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`

/**
 * RFC 9110, 13.1.2: the first tag of `If-None-Match` that names the body, compressed or not; tags are compared weakly, and
 * `*` names any.
 */
export const matchingTag = (header: string | undefined, tag: string): string | undefined => {
  const listed = header?.split(",").map((member) => member.trim().replace(/^W\//, ""))
  return listed?.includes("*") === true ? tag : listed?.find((member) => plainTag(member) === tag)
}

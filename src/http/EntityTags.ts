import { createHash } from "node:crypto"

/** A strong validator of a body (RFC 9110, 8.8.3): its hash. */
export const entityTag = (body: Uint8Array | string): string =>
  `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`

/** RFC 9110, 13.1.2: whether `If-None-Match` lists the tag; tags are compared weakly. */
export const matchesTag = (header: string | undefined, tag: string): boolean =>
  header !== undefined && header.split(",").some((listed) => listed.trim() === "*" || listed.trim().replace(/^W\//, "") === tag)

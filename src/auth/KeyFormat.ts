import { crc32 } from "node:zlib"

/** Lets scanners of source code recognize a key, as the checksum does without asking the server. */
const prefix = "gcb_"

const checksumOf = (secret: string): string => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(secret))
  return bytes.toString("base64url")
}

/** The key of a secret of 43 characters: `gcb_`, the secret, and six characters of checksum. */
export const formatKey = (secret: string): string => `${prefix}${secret}${checksumOf(secret)}`

export const isKeyLike = (token: string): boolean => token.startsWith(prefix)

/** The secret of a key with a right checksum; undefined for any other text. */
export const parseKey = (key: string): string | undefined => {
  const [, secret, checksum] = /^gcb_([\w-]{43})([\w-]{6})$/.exec(key) ?? []
  return secret !== undefined && checksumOf(secret) === checksum ? secret : undefined
}

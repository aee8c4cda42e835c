const gzipped = new WeakMap<Uint8Array, Uint8Array>()

/** Says what a body is when it is compressed, so that a body that is kept is compressed once and not for each response. */
export const rememberGzip = (body: Uint8Array, compressed: Uint8Array): void => void gzipped.set(body, compressed)

export const gzipOf = (body: Uint8Array): Uint8Array | undefined => gzipped.get(body)

/** A strong validator names bytes, so the compressed body has its own. */
export const gzipTag = (etag: string): string => etag.replace(/"$/, '-gz"')

/** The validator of the uncompressed body, given either. */
export const plainTag = (etag: string): string => etag.replace(/-gz"$/, '"')

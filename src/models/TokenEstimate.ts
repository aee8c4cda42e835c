/** About one token for four bytes of UTF-8: accurate enough to fit a budget, and needs no call to the model. */
export const tokensOfBytes = (bytes: number): number => Math.ceil(bytes / 4)
export const estimateTokens = (text: string): number => tokensOfBytes(Buffer.byteLength(text))

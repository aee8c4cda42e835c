/** The longest beginning of a text that has at most so many bytes of UTF-8 and splits no character. */
export const cutToBytes = (text: string, maximum: number): string => {
  // A UTF-16 unit has at most three bytes.
  if (text.length * 3 <= maximum) return text
  const bytes = Buffer.from(text)
  if (bytes.length <= maximum) return text
  let end = maximum
  // A continuation byte begins with the bits 10: the character begins before it.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.toString("utf8", 0, end)
}

const ellipsis = "…"

/**
 * Collects thoughts, and calls `onPiece` for each piece of them, up to `maximum` bytes: where there would be more, they end
 * with an ellipsis, which counts.
 */
export const makeThoughts = (maximum: number, onPiece: (piece: string) => void) => {
  const keep = makeTextLimit(maximum - Buffer.byteLength(ellipsis))
  let text = ""
  let isCut = false
  return {
    add: (piece: string): void => {
      if (isCut || piece === "") return
      const kept = keep(piece)
      isCut = kept !== piece
      const shown = isCut ? kept + ellipsis : kept
      text += shown
      onPiece(shown)
    },
    /** All pieces; null when there are none. */
    get text(): string | null {
      return text === "" ? null : text
    }
  }
}

/** Returns, piece by piece, as much of a text as its limit in bytes allows. After the first cut, nothing more. */
export const makeTextLimit = (maximum: number): ((piece: string) => string) => {
  let left = maximum
  return (piece) => {
    const kept = cutToBytes(piece, left)
    left = kept === piece ? left - Buffer.byteLength(kept) : 0
    return kept
  }
}

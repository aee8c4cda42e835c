/**
 * Counts brackets through the pieces of a JSON object or list, and returns where in a piece the value ends, or -1. Each
 * character is looked at once, however small the pieces are.
 */
export const makeEndOfJson = () => {
  let depth = 0
  let isInString = false
  let isEscaped = false
  return (text: string): number => {
    for (let index = 0; index < text.length; index++) {
      const character = text[index]
      if (isEscaped) isEscaped = false
      else if (isInString) {
        if (character === "\\") isEscaped = true
        else if (character === '"') isInString = false
      } else if (character === '"') isInString = true
      else if (character === "{" || character === "[") depth++
      else if ((character === "}" || character === "]") && --depth === 0) return index + 1
    }
    return -1
  }
}

export const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

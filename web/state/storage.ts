/** What the page remembers in this browser: choices of appearance, never a token. A browser may refuse to keep it. */
const prefix = "playground."

export const remembered = (name: string): string | undefined => {
  try {
    return localStorage.getItem(prefix + name) ?? undefined
  } catch {
    return undefined
  }
}

export const remember = (name: string, value: string | undefined): void => {
  try {
    if (value === undefined) localStorage.removeItem(prefix + name)
    else localStorage.setItem(prefix + name, value)
  } catch {
    // Nothing depends on it.
  }
}

/** Shuffles the items; the order depends on the seed alone (Fisher–Yates with mulberry32). */
export const shuffle = <T>(items: ReadonlyArray<T>, seed: number): Array<T> => {
  const random = mulberry32(seed)
  const result = [...items]
  for (let last = result.length - 1; last > 0; last--) {
    const pick = Math.floor(random() * (last + 1))
    result.push(...result.splice(pick, 1))
  }
  return result
}

/** https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
const mulberry32 = (seed: number) => {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

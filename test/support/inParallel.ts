/** Runs `width` items at a time, in order. */
export const inParallel = async <A, B>(
  width: number,
  items: ReadonlyArray<A>,
  work: (item: A, index: number) => Promise<B>
): Promise<Array<B>> => {
  const results: Array<B> = []
  let next = 0
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < items.length) {
        const index = next++
        const item = items[index]
        if (item !== undefined) results[index] = await work(item, index)
      }
    })
  )
  return results
}

export const permutations = <A>(items: ReadonlyArray<A>): Array<Array<A>> =>
  items.length < 2
    ? [[...items]]
    : items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]))

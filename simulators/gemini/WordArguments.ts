/** The numbers of magic words: text that is not such a number is undefined. */
export const toStatus = (arg: string | undefined): number | undefined =>
  arg !== undefined && /^[45]\d\d$/.test(arg) ? Number(arg) : undefined

const toNumber = (arg: string | undefined): number | undefined =>
  arg !== undefined && /^\d+(\.\d+)?$/.test(arg) ? Number(arg) : undefined

export const toCount = (arg: string | undefined, most = 1_000_000): number | undefined => {
  const number = toNumber(arg)
  return number === undefined ? undefined : Math.min(Math.floor(number), most)
}

/** The number after a name, as in `times 2`. */
export const numberAfter = (args: ReadonlyArray<string>, name: string): number | undefined =>
  args.includes(name) ? toNumber(args[args.indexOf(name) + 1]) : undefined

/** A count of chunks has this limit. */
export const MOST_CHUNKS = 10_000

/** A row of the result. Every field is text with its unit; "–" means not applicable. */
export interface Row {
  readonly what: string
  readonly measured: string
  readonly reference?: string
  readonly ratio?: string
  /** Milliseconds, median and 99th percentile. */
  readonly latency?: string
  /** Microseconds of CPU for one answer, by process: steadier than a rate on a shared machine. */
  readonly cost?: string
  /** Average cores by process. */
  readonly cores?: string
  /** Resident memory after the load, by process. */
  readonly memory?: string
  /** CPU of server and database together, relative to the table's first row. */
  readonly timesFirst?: string
}

const columns: ReadonlyArray<readonly [keyof Row, string]> = [
  ["what", "What"],
  ["measured", "Measured, median (range)"],
  ["reference", "Bare node:http"],
  ["ratio", "Ratio"],
  ["latency", "p50 / p99 ms"],
  ["cost", "CPU each, µs"],
  ["cores", "Cores used"],
  ["memory", "RSS after, MiB"],
  ["timesFirst", "CPU, first row = 1"]
]

const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`

/** A Markdown table of any columns. */
export const table = (titles: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [line(titles), line(titles.map(() => "---")), ...rows.map(line)].join("\n")

/** A table of the columns that at least one row fills. */
export const markdown = (rows: ReadonlyArray<Row>): string => {
  const used = columns.filter(([key]) => rows.some((row) => row[key] !== undefined))
  return table(
    used.map(([, title]) => title),
    rows.map((row) => used.map(([key]) => row[key] ?? "–"))
  )
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

export const number = (value: number, digits = 0): string =>
  Number.isNaN(value) ? "–" : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })

/** The median of the rounds and, in brackets, their range. */
export const spread = (values: ReadonlyArray<number>, unit: string): string =>
  `${number(median(values))} ${unit} (${number(Math.min(...values))}–${number(Math.max(...values))})`

export const ratio = (value: number): string => number(value, 2)

export const latency = (p50: number, p99: number): string => `${number(p50, 1)} / ${number(p99, 1)}`

/** `api 0.98, Postgres 0.41` */
export const byProcess = (values: Readonly<Record<string, number>>, digits: number): string =>
  Object.entries(values)
    .map(([name, value]) => `${name} ${number(value, digits)}`)
    .join(", ")

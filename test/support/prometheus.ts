import { request } from "./Client.ts"

/** A line of /metrics. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const sampleOf = (line: string): Sample => {
  const [, name = "", labels = "", value = ""] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
  if (name === "") throw new Error(`not a sample: ${line}`)
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)/g)]
  return { name, labels: Object.fromEntries(pairs.map(([, label = "", text = ""]) => [label, text])), value: Number(value) }
}

export const samplesOf = (text: string): ReadonlyArray<Sample> =>
  text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map(sampleOf)

/** What a Prometheus server reads from a process. */
export const scrape = async (base: string, adminToken: string) => {
  const { text } = await request(base, "GET", "/metrics", { headers: { authorization: `Bearer ${adminToken}` } })
  return { text, samples: samplesOf(text) }
}

/** The sum of the samples of a name whose labels include these. */
export const sumOf = (samples: ReadonlyArray<Sample>, name: string, labels: Readonly<Record<string, string>> = {}): number =>
  samples
    .filter((sample) => sample.name === name && Object.entries(labels).every(([label, text]) => sample.labels[label] === text))
    .reduce((sum, { value }) => sum + value, 0)

/** A selector of a query: the metric, its matchers, and the labels that an aggregation of the query keeps. */
export interface Selector {
  readonly metric: string
  readonly matchers: ReadonlyArray<{ readonly label: string; readonly operator: string; readonly value: string }>
}

const selector = /([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?/g
const words = new Set(["by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset"])

/** The selectors and the grouping labels of a PromQL query, as far as our queries go. */
export const readQuery = (
  query: string
): { readonly selectors: ReadonlyArray<Selector>; readonly grouping: ReadonlyArray<string> } => {
  const groupings = [...query.matchAll(/\b(?:by|without)\s*\(([^)]*)\)/g)]
  const grouping = groupings.flatMap(([, list = ""]) => list.split(",").map((label) => label.trim()))
  const rest = query.replaceAll(/\b(?:by|without)\s*\([^)]*\)/g, " ").replaceAll(/\[[^\]]*\]/g, " ")
  const selectors = [...rest.matchAll(selector)].flatMap((match): Array<Selector> => {
    const [whole, metric = "", matchers = ""] = match
    const next = rest.slice(match.index + whole.length).trimStart()[0]
    if (next === "(" || words.has(metric) || /\d$/.test(rest[match.index - 1] ?? "")) return []
    const read = [...matchers.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)]
    return [{ metric, matchers: read.map(([, label = "", operator = "", value = ""]) => ({ label, operator, value })) }]
  })
  return { selectors, grouping }
}

/** Tables that grow without a bound, or with the number of users: a plan must not read all of one. */
const grown = ["messages", "chatrooms", "users", "sessions", "model_calls", "usage_daily", "idempotency_keys"]

export interface Node {
  readonly "Node Type": string
  readonly "Relation Name"?: string
  readonly Plans?: ReadonlyArray<Node>
  readonly [property: string]: unknown
}

/** A statement as Postgres ran it, also inside of a function. */
export interface SeenPlan {
  readonly query: string
  readonly sequential: ReadonlyArray<string>
  /** The tables it reads or writes. */
  readonly tables: ReadonlyArray<string>
  readonly root: Node
}

export const nodesOf = (node: Node): ReadonlyArray<Node> => [node, ...(node.Plans ?? []).flatMap(nodesOf)]

const toPlan = (text: string): SeenPlan => {
  const { Plan, "Query Text": query }: { readonly "Query Text": string; readonly Plan: Node } = JSON.parse(text)
  const nodes = nodesOf(Plan)
  const tablesOf = (some: ReadonlyArray<Node>) => [...new Set(some.flatMap((node) => node["Relation Name"] ?? []))]
  return {
    query: query.replaceAll(/\s+/g, " ").trim(),
    sequential: tablesOf(nodes.filter((node) => node["Node Type"] === "Seq Scan")).filter((table) => grown.includes(table)),
    tables: tablesOf(nodes),
    root: Plan
  }
}

/** Settings of a Postgres whose log has the plan of every statement, once `auto_explain.log_min_duration` is 0. */
export const explaining = {
  shared_preload_libraries: "auto_explain,pg_stat_statements",
  "auto_explain.log_format": "json",
  "auto_explain.log_nested_statements": "on",
  log_line_prefix: "@%p "
}

/** Collects the plans in the log of Postgres. The further lines of an entry begin with a tab. */
export const planReader = () => {
  const seen: Array<SeenPlan> = []
  let text: string | undefined
  const finish = () => {
    if (text !== undefined) seen.push(toPlan(text))
    text = undefined
  }
  return {
    note: (line: string) => {
      if (line.startsWith("\t")) {
        if (text !== undefined) text += `\n${line}`
        return
      }
      finish()
      if (/^@\d+ LOG: {2}duration: [\d.]+ ms {2}plan:$/.test(line)) text = ""
    },
    /** The plans since the last call. */
    take: (): ReadonlyArray<SeenPlan> => {
      finish()
      return seen.splice(0)
    }
  }
}

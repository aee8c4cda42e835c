/** What the collection adds to the API's document: an order, values, scripts, and words for people. */
export interface Folder {
  readonly name: string
  readonly about: string
  /** A script before each of its requests. */
  readonly before?: string
  readonly items: ReadonlyArray<Item>
}

export type Item = Call | Visit | Folder

interface Step {
  /** Its name in the collection, unique: scripts jump by it. */
  readonly name: string
  /** Said before the document's own description. */
  readonly about?: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** An object is sent as JSON, a text as it stands. */
  readonly body?: object | string
  /** The variable whose token is sent; that of the collection's user unless said, `nobody` for none. */
  readonly as?: string
  /** The status, or several where it depends on how the server is set up. */
  readonly expect: number | ReadonlyArray<number>
  /** The `code` of the problem that a refusal must be. */
  readonly code?: string
  /** A script before the request. */
  readonly before?: string
  /** Tests besides those of status, problem and body shape, and what they keep for later requests. */
  readonly tests?: string
}

/** A request to an operation of the document. */
export interface Call extends Step {
  readonly operation: string
  readonly path?: Readonly<Record<string, string>>
  /** The media type of the answer, JSON unless said. */
  readonly media?: string
}

/** A request to what is no operation of ours. */
export interface Visit extends Step {
  readonly method: string
  /** After `{{baseUrl}}`, or a whole variable. */
  readonly url: string
  readonly form?: Readonly<Record<string, string>>
  readonly about: string
}

export interface Variable {
  readonly key: string
  readonly value: string
  readonly about: string
}

export const isFolder = (item: Item): item is Folder => "items" in item
export const isCall = (item: Item): item is Call => "operation" in item

/** All requests below, in the runner's order. */
export const requestsOf = (items: ReadonlyArray<Item>): ReadonlyArray<Call | Visit> =>
  items.flatMap((item) => (isFolder(item) ? requestsOf(item.items) : [item]))

export const call = (operation: string, step: Omit<Call, "operation">): Call => ({ operation, ...step })

/** The script's own lines, without the margin they have in our source. */
export const script = (strings: TemplateStringsArray, ...values: ReadonlyArray<string>): string => {
  const lines = String.raw(strings, ...values).split("\n")
  const margin = Math.min(...lines.filter((line) => line.trim() !== "").map((line) => line.search(/\S/)))
  return lines
    .map((line) => line.slice(margin))
    .join("\n")
    .trim()
}

/** Keeps parts of the answer for later requests: the variable's name, and where its value is. */
export const keep = (values: Readonly<Record<string, string>>): string =>
  Object.entries(values)
    .map(([name, at]) => `pm.collectionVariables.set("${name}", pm.response.json().${at})`)
    .join("\n")

/** A pause of a second before every try but the first. */
export const pause = script`
  if (pm.variables.get("tries")) setTimeout(() => {}, 1000)
`

/** Sends the request again until the condition holds of its `body`; it fails when that takes more than 30 tries. */
export const until = (what: string, condition: string): string => script`
  const body = pm.response.json()
  const tries = Number(pm.variables.get("tries") || 0) + 1
  const done = ${condition}
  if (!done && tries < 30) {
    pm.collectionVariables.set("tries", tries)
    pm.execution.setNextRequest(pm.info.requestName)
  } else {
    pm.collectionVariables.set("tries", "")
    pm.test("${what}", () => pm.expect(done).to.equal(true))
  }
`

import { signal } from "@preact/signals"
import type { Operation } from "./contract.ts"

/** A request and its answer, as the panel "As HTTP" shows them. */
export interface Exchange {
  readonly number: number
  readonly operation: Operation
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
  /** The name of the file that is the body. */
  readonly file?: string | undefined
  readonly startedAt: number
  readonly millis: number | undefined
  /** Undefined until there is an answer; 0 when there was none. */
  readonly status: number | undefined
  readonly answerHeaders: ReadonlyArray<readonly [string, string]>
  /** The body of the answer; of a stream, its events so far. */
  readonly answer: string
}

const kept = 60
const longestAnswer = 200_000
let count = 0

/** The newest exchanges of this page, newest first. They stay in memory. */
export const exchanges = signal<ReadonlyArray<Exchange>>([])

export const change = (number: number, fields: Partial<Exchange>): void => {
  exchanges.value = exchanges.value.map((exchange) => (exchange.number === number ? { ...exchange, ...fields } : exchange))
}

export const begin = (exchange: Pick<Exchange, "operation" | "method" | "path" | "headers" | "body" | "file">): number => {
  const number = ++count
  const started = {
    ...exchange,
    number,
    startedAt: Date.now(),
    millis: undefined,
    status: undefined,
    answerHeaders: [],
    answer: ""
  }
  exchanges.value = [started, ...exchanges.value].slice(0, kept)
  return number
}

export const answered = (number: number, response: Response): void => {
  const exchange = exchanges.value.find((known) => known.number === number)
  const millis = exchange === undefined ? undefined : Date.now() - exchange.startedAt
  change(number, { status: response.status, millis, answerHeaders: [...response.headers] })
}

export const failed = (number: number): void => change(number, { status: 0 })

export const addAnswer = (number: number, text: string): void => {
  const exchange = exchanges.value.find((known) => known.number === number)
  if (exchange !== undefined && exchange.answer.length < longestAnswer) change(number, { answer: exchange.answer + text })
}

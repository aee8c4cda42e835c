import type { Document } from "./Document.ts"
import { folders, variables } from "./overlay/index.ts"
import { isCall, requestsOf } from "./Overlay.ts"

const repeated = (names: ReadonlyArray<string>) => names.filter((name, index) => names.indexOf(name) !== index)

/** What is wrong with the collection, each in a line: operations nobody sends, names that are not unique, unknown variables. */
export const faultsOf = (document: Document): ReadonlyArray<string> => {
  const requests = requestsOf(folders)
  const called = new Set(requests.filter(isCall).map(({ operation }) => operation))
  const known = new Set(variables.map(({ key }) => key))
  const source = JSON.stringify(folders)
  const used = [...source.matchAll(/\{\{(\w+)\}\}/g), ...source.matchAll(/[vV]ariables\.(?:get|set)\(\\"(\w+)\\"/g)].map(
    ([, name = ""]) => name
  )
  const unknown = new Set(used.filter((name) => !known.has(name) && name !== "tooLong"))
  return [
    ...[...document.operations.keys()].filter((id) => !called.has(id)).map((id) => `no request for the operation ${id}`),
    ...repeated(requests.map(({ name }) => name)).map((name) => `two requests are called ${name}`),
    ...[...unknown].map((name) => `the variable ${name} is not declared`),
    ...variables.filter(({ key }) => !used.includes(key) && key !== "baseUrl").map(({ key }) => `nobody uses the variable ${key}`)
  ]
}

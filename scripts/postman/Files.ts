import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { makeFiles } from "./Collection.ts"
import { faultsOf } from "./Coverage.ts"
import { readDocument } from "./Document.ts"
import { examplesFile, readExamples } from "./Examples.ts"

const root = new URL("../../", import.meta.url)

const files = () => {
  const document = readDocument()
  const faults = faultsOf(document)
  if (faults.length > 0) throw new Error(`scripts/postman/overlay does not fit openapi.json:\n${faults.join("\n")}`)
  return [...makeFiles(document, existsSync(examplesFile) ? readExamples() : {})]
}

/** Writes the generated files; fails when an operation of the document is in no request. */
export const writeFiles = () => {
  for (const [file, content] of files()) writeFileSync(new URL(file, root), content)
}

/** Those that are not there, or not what they would be now. */
export const staleFiles = (): ReadonlyArray<string> =>
  files().flatMap(([file, content]) => {
    const place = new URL(file, root)
    return existsSync(place) && readFileSync(place, "utf8") === content ? [] : file
  })

import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { parseAllDocuments } from "yaml"
import { faultsOf } from "./KubernetesSchema.ts"

type Json = string | number | boolean | null | ReadonlyArray<Json> | { readonly [key: string]: Json }
interface KubernetesObject {
  readonly [key: string]: Json
  readonly kind: string
}

const folder = "deploy/kubernetes"
const objects = readdirSync(folder).flatMap((file) =>
  parseAllDocuments(readFileSync(`${folder}/${file}`, "utf8")).map((document): KubernetesObject => document.toJS())
)

/** Maps whose keys the author chooses. */
const maps = new Set(["labels", "annotations", "matchLabels", "data", "stringData", "requests", "limits", "nodeSelector"])
/** The selector of a Service is such a map, that of a Deployment is not. */
const isMap = (kind: string, name: string) => maps.has(name) || (kind === "Service" && name === "selector")

/** Copies of a value in each of which one field is misspelt, with the path of that field. */
const misspelt = (value: Json, kind: string, path: string): ReadonlyArray<readonly [path: string, copy: Json]> => {
  if (typeof value !== "object" || value === null) return []
  if (Array.isArray(value))
    return value.flatMap((item: Json, index) =>
      misspelt(item, kind, `${path}/${index}`).map(([at, copy]) => [at, value.with(index, copy)] as const)
    )
  return Object.entries(value).flatMap(([name, inner]) => {
    const { [name]: _, ...others } = value as { readonly [key: string]: Json }
    const own = [`${path}/${name}`, { ...others, [`${name}x`]: inner }] as const
    const below = isMap(kind, name) ? [] : misspelt(inner, kind, `${path}/${name}`)
    return [own, ...below.map(([at, copy]) => [at, { ...value, [name]: copy }] as const)]
  })
}

describe("the schema of the manifests", () => {
  it("accepts every object", () => {
    assert.isAbove(objects.length, 10)
    assert.deepStrictEqual(objects.flatMap(faultsOf), [])
  })

  it("refuses an object in which any one field is misspelt", () => {
    for (const object of objects) {
      const copies = misspelt(object, object.kind, object.kind).filter(([path]) => path !== `${object.kind}/kind`)
      assert.isAbove(copies.length, 3)
      for (const [path, copy] of copies) assert.isNotEmpty(faultsOf(copy as KubernetesObject), path)
    }
  })

  it.each([
    ["a text for a number", (text: string) => text.replace("replicas: 2", 'replicas: "two"')],
    ["an unknown policy", (text: string) => text.replace("ScheduleAnyway", "ScheduleAnyways")],
    ["a container without a name", (text: string) => text.replace("- name: api\n          image", "- image")],
    ["another version of the API", (text: string) => text.replace("apps/v1", "apps/v1beta2")],
    ["an unknown kind", (text: string) => text.replace("kind: Service", "kind: Servise")]
  ])("refuses %s", (_, broken) => {
    const text = readFileSync(`${folder}/api.yaml`, "utf8")
    assert.notStrictEqual(broken(text), text)
    assert.isNotEmpty(parseAllDocuments(broken(text)).flatMap((document) => faultsOf(document.toJS())))
  })
})

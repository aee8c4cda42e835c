import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Ajv } from "ajv"
import { Ajv2020 } from "ajv/dist/2020.js"
import { assert, describe, it } from "vitest"
import { makeCollection, makeFiles, type PostmanItem } from "../../scripts/postman/Collection.ts"
import { faultsOf } from "../../scripts/postman/Coverage.ts"
import { documentFile, readDocument } from "../../scripts/postman/Document.ts"
import { readExamples } from "../../scripts/postman/Examples.ts"
import { folders } from "../../scripts/postman/overlay/index.ts"
import { isCall, requestsOf } from "../../scripts/postman/Overlay.ts"

const root = new URL("../../", import.meta.url)
const read = (file: string) => readFileSync(new URL(file, root), "utf8")
const collectionFile = "postman/gemini-chat-backend.postman_collection.json"

const document = readDocument()
const examples = readExamples()

/** All requests of a collection, out of its folders. */
const flat = (items: ReadonlyArray<PostmanItem>): ReadonlyArray<PostmanItem> =>
  items.flatMap((item) => (item.item === undefined ? [item] : flat(item.item)))
const requests = flat(makeCollection(document, examples).item)

const scriptOf = (item: PostmanItem, listen: string) =>
  item.event.flatMap((event) => (event.listen === listen ? event.script.exec : [])).join("\n")

describe("the Postman collection", () => {
  it("is what the document, the overlay and the examples make", () => {
    for (const [file, content] of makeFiles(document, examples)) {
      assert.isTrue(existsSync(new URL(file, root)), file)
      assert.isTrue(read(file) === content, `${file} is stale: run \`npm run generate\``)
    }
    const made = [...makeFiles(document, examples).keys()].map((file) => file.replace("postman/", ""))
    assert.sameMembers(readdirSync(fileURLToPath(new URL("postman/", root))), made)
  })

  it("is a collection of the format v2.1", () => {
    const schema = JSON.parse(readFileSync(new URL("collection-v2.1.schema.json", import.meta.url), "utf8"))
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema)
    assert.isTrue(validate(JSON.parse(read(collectionFile))), JSON.stringify(validate.errors, null, 2))
    assert.isFalse(validate({ info: {}, item: [] }), "the schema refuses something at all")
  })

  it("has a request for each operation of the document", () => {
    assert.deepStrictEqual(faultsOf(document), [])
    const sent = new Set(
      requests.map(({ request }) => {
        const url = request?.url as { readonly path?: ReadonlyArray<string> } | undefined
        return `${request?.method} /${(url?.path ?? []).join("/").replace(/:(\w+)/g, "{$1}")}`
      })
    )
    for (const { method, path } of document.operations.values()) assert.include([...sent], `${method} ${path}`)
  })

  it("is not made when an operation is in no request", () => {
    const [first] = document.operations.values()
    const operations = new Map([...document.operations, ["newOperation", { ...first!, operationId: "newOperation" }]])
    assert.deepStrictEqual(faultsOf({ ...document, operations }), ["no request for the operation newOperation"])
  })

  it("is not made of what the document does not know", () => {
    const without = new Map([...document.operations].filter(([id]) => id !== "getHealth"))
    assert.throws(() => makeCollection({ ...document, operations: without }, {}), /no operation getHealth/)
    const strange = new Map(document.operations)
    strange.set("search", { ...document.operations.get("search")!, parameters: [] })
    assert.throws(() => makeCollection({ ...document, operations: strange }, {}), /search has no query parameter q/)
    strange.set("search", { ...document.operations.get("search")!, responses: {} })
    assert.throws(() => makeCollection({ ...document, operations: strange }, {}), /search has no answer 200/)
  })

  it("describes and tests each request, and says what it tests", () => {
    for (const item of requests) {
      assert.match(scriptOf(item, "test"), /pm\.test\("Status is /, item.name)
      assert.isNotEmpty(item.request?.description, item.name)
    }
    for (const folder of makeCollection(document, examples).item) assert.isNotEmpty(folder.description, folder.name)
  })

  it("looks at the shape of every body that has a documented one", () => {
    for (const step of requestsOf(folders)) {
      const isJson = examples[step.name]?.header["content-type"]?.endsWith("json") === true
      if (!isCall(step) || !isJson) continue
      const item = requests.find(({ name }) => name === step.name)
      assert.include(item === undefined ? "" : scriptOf(item, "test"), "jsonSchema(shape)", step.name)
    }
  })

  it("uses what both Postman and newman have", () => {
    for (const item of requests) {
      const source = `${scriptOf(item, "prerequest")}\n${scriptOf(item, "test")}`
      assert.notMatch(source, /\bpostman\.|\bpm\.globals|\bresponseBody\b|\btests\[/, item.name)
      for (const [, required] of source.matchAll(/require\("([^"]+)"\)/g)) assert.strictEqual(required, "crypto-js", item.name)
    }
  })

  it("has the same ids every time, and each once", () => {
    const idsOf = (made: unknown) => [...JSON.stringify(made).matchAll(/"id":"([\da-f-]{36})"/g)].map(([, id]) => id)
    const ids = idsOf(makeCollection(document, examples))
    assert.strictEqual(new Set(ids).size, ids.length)
    assert.deepStrictEqual(idsOf(makeCollection(document, examples)), ids)
    const bare = new Set(idsOf(makeCollection(document, {})))
    assert.isAbove(bare.size, 100)
    for (const id of bare) assert.include(ids, id)
  })

  it("keeps nothing in an environment but where the server is", () => {
    for (const name of ["local", "render"]) {
      const { values } = JSON.parse(read(`postman/${name}.postman_environment.json`))
      assert.deepStrictEqual(
        values.map(({ key }: { readonly key: string }) => key),
        ["baseUrl"]
      )
    }
  })
})

describe("its saved examples", () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema(JSON.parse(readFileSync(documentFile, "utf8")), "api")
  const steps = requestsOf(folders)

  it("are one for each request, and of nothing else", () => {
    assert.sameMembers(
      Object.keys(examples),
      steps.map(({ name }) => name)
    )
  })

  it("are what the document says of their status", () => {
    let checked = 0
    for (const step of steps) {
      const example = examples[step.name]
      if (!isCall(step) || example === undefined) continue
      const operation = document.operations.get(step.operation)
      const type = example.header["content-type"]?.split(";")[0] ?? ""
      assert.property(operation?.responses, String(example.status), step.name)
      if (!type.endsWith("json")) continue
      const [path, method] = [operation?.path.replaceAll("/", "~1"), operation?.method.toLowerCase()]
      const pointer = `#/paths/${path}/${method}/responses/${example.status}/content/${type.replace("/", "~1")}/schema`
      const validate = ajv.compile({ $ref: `api${encodeURI(pointer).replaceAll("%23", "#")}` })
      assert.isTrue(validate(JSON.parse(example.body)), `${step.name}: ${JSON.stringify(validate.errors)}`)
      checked++
    }
    assert.isAbove(checked, 80)
  })

  it("hold no token, code or number of a real run", () => {
    const text = read(collectionFile)
    assert.notMatch(text, /eyJ[\w-]{20,}\.[\w-]{20,}/)
    assert.notMatch(text, /\+9198(?!76543210)\d/)
    assert.notMatch(text, /127\.0\.0\.1:(?!3000|4242)\d/)
    for (const [, otp] of text.matchAll(/\\"otp\\": \\"(\d+)\\"/g)) assert.strictEqual(otp, "123456")
  })
})

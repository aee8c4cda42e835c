import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Ajv } from "ajv"
import { Ajv2020 } from "ajv/dist/2020.js"
import { assert, describe, it } from "vitest"
import { faultsOf, makeCollection, makeFiles, type PostmanItem } from "../../scripts/postman/Collection.ts"
import { openApiFile, readOpenApi } from "../../scripts/postman/OpenApi.ts"
import { requestsOf } from "../../scripts/postman/Entries.ts"
import { folders } from "../../scripts/postman/requests.ts"

const root = new URL("../../", import.meta.url)
const read = (file: string) => readFileSync(new URL(file, root), "utf8")
const collectionFile = "postman/gemini-chat-backend.postman_collection.json"

const openApi = readOpenApi()

/** All requests of a collection, out of its folders. */
const flat = (items: ReadonlyArray<PostmanItem>): ReadonlyArray<PostmanItem> =>
  items.flatMap((item) => (item.item === undefined ? [item] : flat(item.item)))
const collection = makeCollection(openApi)
const requests = flat(collection.item)

const scriptOf = (item: Pick<PostmanItem, "event">, listen: string) =>
  item.event.flatMap((event) => (event.listen === listen ? event.script.exec : [])).join("\n")

describe("the Postman collection", () => {
  it("is what openapi.json and the table of requests make", () => {
    for (const [file, content] of makeFiles(openApi)) {
      assert.isTrue(existsSync(new URL(file, root)), file)
      assert.isTrue(read(file) === content, `${file} is stale: run \`npm run generate\``)
    }
    const made = [...makeFiles(openApi).keys()].map((file) => file.replace("postman/", ""))
    // The file that its requests upload is not generated.
    assert.sameMembers(readdirSync(fileURLToPath(new URL("postman/", root))), [...made, "loom.png"])
  })

  it("is a collection of the format v2.1", () => {
    const schema = JSON.parse(readFileSync(new URL("collection-v2.1.schema.json", import.meta.url), "utf8"))
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema)
    assert.isTrue(validate(JSON.parse(read(collectionFile))), JSON.stringify(validate.errors, null, 2))
    assert.isFalse(validate({ info: {}, item: [] }), "the schema refuses something at all")
  })

  it("has a request for each operation of the document", () => {
    assert.deepStrictEqual(faultsOf(openApi), [])
    const sent = new Set(
      requests.map(({ request }) => {
        const url = request?.url as { readonly path?: ReadonlyArray<string> } | undefined
        return `${request?.method} /${(url?.path ?? []).join("/").replace(/:(\w+)/g, "{$1}")}`
      })
    )
    for (const { method, path } of openApi.operations.values()) assert.include([...sent], `${method} ${path}`)
  })

  it("is not made when an operation is in no request", () => {
    const [first] = openApi.operations.values()
    const operations = new Map([...openApi.operations, ["newOperation", { ...first!, operationId: "newOperation" }]])
    assert.deepStrictEqual(faultsOf({ ...openApi, operations }), ["no request for the operation newOperation"])
  })

  it("is not made of what the document does not know", () => {
    const without = new Map([...openApi.operations].filter(([id]) => id !== "getHealth"))
    assert.throws(() => makeCollection({ ...openApi, operations: without }), /no operation getHealth/)
    const strange = new Map(openApi.operations)
    strange.set("search", { ...openApi.operations.get("search")!, parameters: [] })
    assert.throws(() => makeCollection({ ...openApi, operations: strange }), /search has no query parameter q/)
    strange.set("search", { ...openApi.operations.get("search")!, responses: {} })
    assert.throws(() => makeCollection({ ...openApi, operations: strange }), /search has no answer 200/)
  })

  it("describes and tests each request, and says what it tests", () => {
    assert.match(scriptOf(collection, "test"), /pm\.test\(`Status is \$\{expect/)
    for (const item of requests) {
      assert.match(scriptOf(item, "prerequest"), /"expect": \[\s+"\d{3}/, item.name)
      assert.isNotEmpty(item.request?.description, item.name)
    }
    for (const folder of collection.item) assert.isNotEmpty(folder.description, folder.name)
  })

  it("looks at the shape of every body that has a documented one", () => {
    const source = scriptOf(collection, "test")
    assert.include(source, "jsonSchema({ ...documented.content[type]")
    let checked = 0
    for (const request of requestsOf(folders)) {
      const { name, operation } = request
      for (const expected of request.expected) {
        const [status = ""] = expected.split(" ")
        const content = openApi.operations.get(operation)?.responses[status]?.content
        const type = Object.keys(content ?? {}).find((each) => each.endsWith("json"))
        if (type === undefined) continue
        const line = source.split("\n").find((each) => each.startsWith(`  "${operation} ${status}": {`))
        assert.include(line, `"${type}":{`, name)
        checked++
      }
    }
    assert.isAbove(checked, 90)
  })

  it("uses what both Postman and newman have", () => {
    for (const item of [...requests, { name: "collection", event: collection.event }]) {
      const source = `${scriptOf(item, "prerequest")}\n${scriptOf(item, "test")}`
      assert.notMatch(source, /\bpostman\.|\bpm\.globals|\bresponseBody\b|\btests\[/, item.name)
      for (const [, required] of source.matchAll(/require\("([^"]+)"\)/g)) assert.strictEqual(required, "crypto-js", item.name)
    }
  })

  it("has the same ids every time, and each once", () => {
    const idsOf = (made: unknown) => [...JSON.stringify(made).matchAll(/"id":"([\da-f-]{36})"/g)].map(([, id]) => id)
    const ids = idsOf(makeCollection(openApi))
    assert.strictEqual(new Set(ids).size, ids.length)
    assert.deepStrictEqual(idsOf(makeCollection(openApi)), ids)
    const changed = [...openApi.operations].map(([id, operation]) => [id, { ...operation, description: "Another." }] as const)
    const others = new Set(idsOf(makeCollection({ ...openApi, operations: new Map(changed) })))
    assert.isAbove(others.size, 100)
    for (const id of others) assert.include(ids, id)
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
  ajv.addSchema(JSON.parse(readFileSync(openApiFile, "utf8")), "api")
  const steps = requestsOf(folders)

  it("are one for each expected answer, and of nothing else", () => {
    for (const step of steps) {
      const { name, operation } = step
      const item = requests.find((each) => each.name === name)
      const statuses = step.expected.map((expected) => Number(expected.slice(0, 3)))
      const isOurs = !operation.includes("{{")
      assert.deepStrictEqual(
        item?.response?.map(({ code }) => code),
        isOurs ? statuses : [],
        name
      )
    }
  })

  it("are what the document says of their status", () => {
    let checked = 0
    for (const step of steps) {
      const { name } = step
      const operation = openApi.operations.get(step.operation)
      if (operation === undefined) continue
      for (const example of requests.find((each) => each.name === name)?.response ?? []) {
        const type = example.header.find(({ key }) => key === "Content-Type")?.value ?? ""
        assert.property(operation.responses, String(example.code), name)
        if (!type.endsWith("json")) continue
        const [path, method] = [operation.path.replaceAll("/", "~1"), operation.method.toLowerCase()]
        const pointer = `#/paths/${path}/${method}/responses/${example.code}/content/${type.replace("/", "~1")}/schema`
        const validate = ajv.compile({ $ref: `api${encodeURI(pointer).replaceAll("%23", "#")}` })
        assert.isTrue(validate(JSON.parse(example.body)), `${name}: ${JSON.stringify(validate.errors)}`)
        checked++
      }
    }
    assert.isAbove(checked, 80)
  })

  it("hold no token, code or number of a real run", () => {
    const text = read(collectionFile)
    const documented = readFileSync(openApiFile, "utf8")
    for (const [token] of text.matchAll(/eyJ[\w-]{20,}\.[\w-]{20,}/g)) assert.include(documented, token)
    assert.notMatch(text, /\+9198(?!76543210)\d/)
    assert.notMatch(text, /127\.0\.0\.1:(?!3000|4242)\d/)
    for (const [, otp] of text.matchAll(/\\"otp\\": \\"(\d+)\\"/g)) assert.strictEqual(otp, "042137")
  })
})

/**
 * Runs after every request. The request's pre-request script puts into `check` what it expects:
 * `expect`: the statuses, with the problem's code where there is one, such as "200" or "422 same_password";
 * `media`: the body's type where several are documented;
 * `save`: variables, and where their values are: a path into the body such as "user.id", or the name of a header;
 * `until`: values in the body; the request is sent again, at most 30 times, until the body has them.
 * The generator puts `responses` and `schemas` before this script: what openapi.json says about each response.
 */
const { expect, media, operation, save = {}, until } = JSON.parse(pm.variables.get("check"))
const { code: status, headers } = pm.response
const type = (headers.get("Content-Type") || "").replace(/; *charset=utf-8$/i, "")
const body = type.endsWith("json") ? pm.response.json() : undefined
const read = (path) => path.split(".").reduce((value, key) => value?.[key], body)

// Refusals under /v1 have OpenAI's form.
const code = read("code") ?? read("error.code")
const actual = status >= 400 && code !== undefined ? `${status} ${code}` : `${status}`
pm.test(`Status is ${expect.join(" or ")}`, () => pm.expect(actual).to.be.oneOf(expect))

const documented = responses[`${operation} ${status}`]
if (documented !== undefined) {
  const names = Object.keys(documented.headers.properties).filter((name) => headers.has(name))
  const sent = Object.fromEntries(names.map((name) => [name, headers.get(name)]))
  pm.test("Headers are as documented", () => pm.expect(sent).to.have.jsonSchema(documented.headers, { coerceTypes: true }))
  pm.test("Body is as documented", () => {
    const types = media === undefined ? Object.keys(documented.content) : [media]
    if (types.length === 0) pm.expect(pm.response.text() || "").to.equal("")
    else pm.expect(type).to.be.oneOf(types)
    if (body !== undefined) pm.expect(body).to.have.jsonSchema({ ...documented.content[type], components: { schemas } })
  })
  pm.test("Content type is not guessed", () => pm.expect(headers.get("X-Content-Type-Options")).to.equal("nosniff"))
  if (type === "application/problem+json") {
    pm.test("Problem has the request's id", () => pm.expect(read("requestId")).to.equal(headers.get("X-Request-Id")))
  }
}

for (const [name, path] of Object.entries(status < 400 ? save : {})) {
  const value = read(path) ?? headers.get(path)
  if (value !== undefined) pm.collectionVariables.set(name, value)
}

if (until !== undefined) {
  const isReached = Object.entries(until).every(([path, value]) => read(path) === value)
  const tries = Number(pm.variables.get("tries") || 0) + 1
  const isRepeated = !isReached && tries < 30 && expect.includes(actual)
  pm.collectionVariables.set("tries", isRepeated ? tries : 0)
  if (isRepeated) {
    pm.execution.setNextRequest(pm.info.requestName)
    // The runner waits for the timer before it goes on.
    setTimeout(() => {}, 1000)
  } else {
    pm.test(`Body has ${JSON.stringify(until)} within 30 tries`, () => pm.expect(isReached).to.equal(true))
  }
}

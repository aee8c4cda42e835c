import { script } from "../Overlay.ts"

/** The collection's own test: what holds of every answer of the API. Stripe's pages are not the API's. */
export const everyAnswer = script`
  const base = pm.variables.get("baseUrl")
  const url = pm.request.url.toString()
  if (url.startsWith(base)) {
    const header = (name) => pm.response.headers.get(name)
    pm.test("Carries a request id and nosniff", () => {
      pm.expect(header("X-Request-Id")).to.be.a("string").that.matches(/^[\w-]{1,64}$/)
      pm.expect(header("X-Content-Type-Options")).to.equal("nosniff")
    })
    if (/^\/(auth|user|subscribe|subscription)\//.test(url.slice(base.length))) {
      pm.test("Is stored nowhere on the way", () => pm.expect(header("Cache-Control")).to.equal("private, no-store"))
    }
    if (pm.response.code < 400 && pm.response.text().startsWith("{")) {
      pm.test("JSON is called so", () => pm.expect(header("Content-Type")).to.equal("application/json"))
    }
    if (pm.response.code >= 400) {
      pm.test("A refusal is problem+json with code and requestId", () => {
        pm.expect(header("Content-Type")).to.be.a("string").that.matches(/^application\/problem\+json/)
        const problem = pm.response.json()
        pm.expect(problem.status).to.equal(pm.response.code)
        pm.expect(problem.type).to.be.a("string")
        pm.expect(problem.title).to.be.a("string")
        pm.expect(problem.detail).to.be.a("string")
        pm.expect(problem.code).to.be.a("string").that.matches(/^[a-z]+(_[a-z]+)*$/)
        pm.expect(problem.requestId).to.equal(header("X-Request-Id"))
      })
    }
    if (pm.response.code === 401) {
      pm.test("Names the scheme to log in with", () => pm.expect(header("WWW-Authenticate")).to.be.a("string").that.matches(/^Bearer /))
    }
    if (pm.response.code === 429 || pm.response.code === 503) {
      pm.test("Says when to try again", () => pm.expect(header("Retry-After")).to.be.a("string").that.matches(/^\d+$/))
    }
  }
`

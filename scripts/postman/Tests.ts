import type { Document, JsonSchema, Operation } from "./Document.ts"
import { type Call, isCall, type Visit } from "./Overlay.ts"
import { problemShape, shapeOf, shapeSource } from "./Shape.ts"

export const statusesOf = ({ expect }: Call | Visit): ReadonlyArray<number> => (typeof expect === "number" ? [expect] : expect)

const statusTest = (statuses: ReadonlyArray<number>) =>
  statuses.length === 1
    ? `pm.test("Status is ${statuses[0]}", () => pm.response.to.have.status(${statuses[0]}))`
    : `pm.test("Status is ${statuses.join(" or ")}", () => pm.expect(pm.response.code).to.be.oneOf([${statuses.join(", ")}]))`

const problemTest = (code: string, always: boolean) =>
  `${always ? "" : "if (pm.response.code >= 400) "}pm.test("The problem is ${code}", () => pm.expect(pm.response.json().code).to.equal("${code}"))`

/** What the document says of the answer that is hoped for, or of the refusal that is asked for. */
const shapeFor = (document: Document, operation: Operation, step: Call, status: number): JsonSchema | undefined => {
  if (step.media !== undefined) return undefined
  if (status < 400 || step.code === undefined) return shapeOf(document, operation, status)
  const shape = problemShape(document, operation, status, step.code)
  if (shape === undefined) throw new Error(`${step.name}: ${operation.operationId} does not answer ${status} ${step.code}`)
  return shape
}

/** A shape is looked at last and apart: it is long, and people read from the top. */
const shapeTest = (document: Document, operation: Operation, step: Call): ReadonlyArray<string> => {
  const [status = 0, ...others] = statusesOf(step)
  const shape = shapeFor(document, operation, step, status)
  if (shape === undefined) return []
  return [
    `\n// The schema of openapi.json: ${operation.operationId}, ${status}.\nconst shape = ${shapeSource(shape)}`,
    `${others.length === 0 ? "" : `if (pm.response.code === ${status}) `}pm.test("The body has its documented shape", () => pm.response.to.have.jsonSchema(shape))`
  ]
}

/** The test script of a request. */
export const testsOf = (document: Document, step: Call | Visit, operation: Operation | undefined): string => {
  const statuses = statusesOf(step)
  return [
    statusTest(statuses),
    ...(step.code === undefined ? [] : [problemTest(step.code, statuses.length === 1)]),
    ...(step.tests === undefined ? [] : [step.tests]),
    ...(operation === undefined || !isCall(step) ? [] : shapeTest(document, operation, step))
  ].join("\n")
}

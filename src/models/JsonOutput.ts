import { createContext, Script } from "node:vm"
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js"
import { Option } from "effect"
import { faultOfSchema, type SchemaFault } from "./JsonSchema.ts"

/**
 * Milliseconds that a check may take, and that it may take when it is repeated, because the process may have been paused:
 * nested `anyOf` over a recursive `$ref` takes exponential time.
 */
const checkTime = 50
const repeatedCheckTime = 250
/** Deeper values overflow the stack of whatever reads them recursively. */
const maximumDepth = 100

/** A validator of its own for each schema, because an instance keeps every schema it has compiled. */
const compile = Option.liftThrowable((schema: object): ValidateFunction =>
  new Ajv2020({
    strict: false,
    validateFormats: false,
    validateSchema: false,
    inlineRefs: false,
    ownProperties: true,
    logger: false
  }).compile(schema)
)

/** What is wrong with a schema, references that lead nowhere included. */
export const faultOfOutputSchema = (schema: object): SchemaFault | undefined =>
  faultOfSchema(schema) ??
  (Option.isNone(compile(schema)) ? { path: "", message: "cannot be used: a $ref, $id or $anchor does not fit" } : undefined)

const context: { check: () => boolean } = { check: () => false }
createContext(context)
const script = new Script("check()")
/** Runs a check, and throws when it takes too long. */
const runBounded = Option.liftThrowable((check: () => boolean, timeout: number): boolean => {
  context.check = check
  return script.runInContext(context, { timeout }) === true
})

const depthOf = (text: string): number => {
  let depth = 0
  let deepest = 0
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gsu)) {
    if (token === "{" || token === "[") deepest = Math.max(deepest, ++depth)
    else if (token === "}" || token === "]") depth--
  }
  return deepest
}

const parse = Option.liftThrowable((text: string): unknown => JSON.parse(text))

/** Whether a text is JSON that fits the schema, if there is one. */
export const isOutput = (text: string, schema: object | undefined): boolean => {
  if (depthOf(text) > maximumDepth) return false
  const value = parse(text)
  if (Option.isNone(value)) return false
  if (schema === undefined) return true
  const validate = compile(schema)
  if (Option.isNone(validate)) return false
  const check = () => validate.value(value.value)
  return runBounded(check, checkTime).pipe(
    Option.orElse(() => runBounded(check, repeatedCheckTime)),
    Option.getOrElse(() => false)
  )
}

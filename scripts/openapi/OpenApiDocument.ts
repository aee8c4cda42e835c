import { OpenApi } from "effect/http-api"
import { Api } from "../../src/api/Api.ts"
import { describeEvents, describeStreams, showExamples } from "./Bodies.ts"
import { documentHeaders } from "./Headers.ts"
import { child, eachOperation, isNode, type Node, nodes, resolved } from "./Node.ts"
import { documentParameters } from "./Parameters.ts"
import { documentProblems } from "./Problems.ts"
import { nameComponents, tidySchemas } from "./Schemas.ts"

/** The generator's defaults, as tools and readers want them; what it lacks is taken from the API's own schemas. */
export const openApiDocument = (): Node => {
  const document = nameComponents(tidySchemas({ ...OpenApi.fromApi(Api) }))
  document["openapi"] = "3.1.0"
  Object.assign(document["info"] ?? {}, { contact: { name: "The maintainers of gemini-chat-backend" } })
  for (const scheme of Object.values(child(document, "components", "securitySchemes") ?? {})) lowerScheme(scheme)
  document["tags"] = uniqueTags(document)
  documentParameters(document)
  describeBodies(document)
  describeStreams(document)
  describeEvents(document)
  documentProblems(document)
  documentHeaders(document)
  showExamples(document)
  return document
}

/** Groups that share a title are one section. */
const uniqueTags = (document: Node) => [...new Map(nodes(document["tags"]).map((tag) => [tag["name"], tag])).values()]

/** RFC 9110 has `bearer` in any case; some readers know it in this one alone. */
const lowerScheme = (scheme: unknown) => {
  if (isNode(scheme) && typeof scheme["scheme"] === "string") scheme["scheme"] = scheme["scheme"].toLowerCase()
}

/** An absent body is an empty object; of an answer without one the generator says just that. */
const describeBodies = (document: Node) =>
  eachOperation(document, (operation) => {
    const body = child(operation, "requestBody")
    const schema = resolved(document, child(body, "content", "application/json", "schema") ?? {})
    if (body !== undefined) body["required"] = Array.isArray(schema["required"])
    for (const response of Object.values(child(operation, "responses") ?? {})) {
      if (isNode(response) && response["description"] === "<No Content>") response["description"] = "Done."
    }
  })

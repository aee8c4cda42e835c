import { OpenApi } from "effect/http-api"
import { Api } from "../../src/api/Api.ts"
import { describeEvents, describeFiles, describeStreams, addExamples } from "./Bodies.ts"
import { documentHeaders } from "./Headers.ts"
import { child, eachOperation, isNode, type Node, nodes, resolved } from "./Node.ts"
import { documentParameters } from "./Parameters.ts"
import { documentProblems } from "./Problems.ts"
import { addSamples } from "./Samples.ts"
import { nameComponents, tidySchemas } from "./Schemas.ts"

/** Effect's document of the API, completed for tools and readers from the API's own schemas. */
export const openApiDocument = (): Node => {
  const document = nameComponents(tidySchemas({ ...OpenApi.fromApi(Api) }))
  document["openapi"] = "3.1.0"
  Object.assign(document["info"] ?? {}, { contact: { name: "The maintainers of gemini-chat-backend" } })
  for (const scheme of Object.values(child(document, "components", "securitySchemes") ?? {})) lowerScheme(scheme)
  document["tags"] = uniqueTags(document)
  documentParameters(document)
  describeBodies(document)
  describeFiles(document)
  describeStreams(document)
  describeEvents(document)
  documentProblems(document)
  documentHeaders(document)
  addExamples(document)
  addSamples(document)
  return document
}

/** Groups with the same title share a tag. */
const uniqueTags = (document: Node) => [...new Map(nodes(document["tags"]).map((tag) => [tag["name"], tag])).values()]

/** `bearer` is case-insensitive in RFC 9110, but some tools accept lower case only. */
const lowerScheme = (scheme: unknown) => {
  if (isNode(scheme) && typeof scheme["scheme"] === "string") scheme["scheme"] = scheme["scheme"].toLowerCase()
}

/** A request body is optional when no member of it is required; responses without a body get a description. */
const describeBodies = (document: Node) =>
  eachOperation(document, (operation) => {
    const body = child(operation, "requestBody")
    const schema = resolved(document, child(body, "content", "application/json", "schema") ?? {})
    if (body !== undefined) body["required"] = Array.isArray(schema["required"])
    for (const response of Object.values(child(operation, "responses") ?? {})) {
      if (isNode(response) && response["description"] === "<No Content>") response["description"] = "Done."
    }
  })

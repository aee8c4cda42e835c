import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js"
import schema from "./kubernetes.schema.json" with { type: "json" }

/** The definition of each kind that the manifests use. */
const definitions = {
  ConfigMap: "CoreV1ConfigMap",
  Secret: "CoreV1Secret",
  Service: "CoreV1Service",
  Deployment: "AppsV1Deployment",
  Job: "BatchV1Job",
  PodDisruptionBudget: "PolicyV1PodDisruptionBudget",
  HorizontalPodAutoscaler: "AutoscalingV2HorizontalPodAutoscaler",
  NetworkPolicy: "NetworkingV1NetworkPolicy"
} as const

const ajv = new Ajv2020({ strict: false, allErrors: true }).addSchema(schema, "kubernetes")
const validators = new Map<string, ValidateFunction>(
  Object.entries(definitions).map(([kind, name]) => [kind, ajv.compile({ $ref: `kubernetes#/$defs/${name}` })])
)

/** What Kubernetes would refuse, or silently drop, in an object: unknown fields too. */
export const faultsOf = (object: { readonly kind: string }): ReadonlyArray<string> => {
  const validate = validators.get(object.kind)
  if (validate === undefined) return [`${object.kind}: unknown kind`]
  validate(object)
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${object.kind}${instancePath}: ${message} ${JSON.stringify(params)}`
  )
}

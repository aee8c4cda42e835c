import { readdirSync, readFileSync } from "node:fs"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { parse, parseAllDocuments } from "yaml"
import { variables } from "../../src/config/Variables.ts"
import { routeOf } from "../../src/server/Routes.ts"
import { request } from "../support/Client.ts"
import { startBackend } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { settingsFrom } from "./settingsFrom.ts"

type Labels = Readonly<Record<string, string>>
interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
}
interface Container {
  readonly name: string
  readonly image: string
  readonly command?: ReadonlyArray<string>
  readonly ports?: ReadonlyArray<{ readonly name: string; readonly containerPort: number }>
  readonly env?: ReadonlyArray<{ readonly name: string; readonly value: string }>
  readonly envFrom: ReadonlyArray<{
    readonly configMapRef?: { readonly name: string }
    readonly secretRef?: { readonly name: string }
  }>
  readonly startupProbe?: Probe
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } }
}
interface Template {
  readonly metadata: { readonly labels: Labels }
  readonly spec: {
    readonly containers: ReadonlyArray<Container>
    readonly terminationGracePeriodSeconds?: number
    readonly restartPolicy?: string
  }
}
interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data?: Labels
  readonly stringData?: Labels
  readonly spec: {
    readonly template: Template
    readonly selector: { readonly matchLabels: Labels }
    readonly podSelector: { readonly matchLabels: Labels }
    readonly scaleTargetRef: { readonly kind: string; readonly name: string }
    readonly minReplicas: number
    readonly maxReplicas: number
    readonly metrics: ReadonlyArray<{ readonly external?: { readonly metric: { readonly name: string } } }>
    readonly ingress: ReadonlyArray<{ readonly ports: ReadonlyArray<{ readonly port: number }> }>
    readonly ports: ReadonlyArray<{ readonly targetPort: string }>
  }
}

const folder = "deploy/kubernetes"
const manifests = readdirSync(folder).flatMap((file) =>
  parseAllDocuments(readFileSync(`${folder}/${file}`, "utf8")).map((document): Manifest => {
    assert.isEmpty(document.errors, file)
    return document.toJS()
  })
)
const ofKind = (kind: string) => manifests.filter((manifest) => manifest.kind === kind)
const workloads = [...ofKind("Deployment"), ...ofKind("Job")]
const containerOf = ({ spec }: Manifest): Container => {
  const [container] = spec.template.spec.containers
  if (container === undefined) throw new Error("no container")
  return container
}

/** The group and version of each kind, as Kubernetes 1.29 and newer have them. */
const versions: Labels = {
  ConfigMap: "v1",
  Secret: "v1",
  Service: "v1",
  Deployment: "apps/v1",
  Job: "batch/v1",
  PodDisruptionBudget: "policy/v1",
  HorizontalPodAutoscaler: "autoscaling/v2",
  NetworkPolicy: "networking.k8s.io/v1"
}

/** Whether labels have everything that a selector asks for. */
const matches = (labels: Labels, selector: Labels) => Object.entries(selector).every(([name, value]) => labels[name] === value)

/** The environment of a container. */
const environmentOf = ({ env = [], envFrom }: Container): Labels =>
  Object.assign(
    {},
    ...envFrom.map(({ configMapRef, secretRef }) => {
      const [kind, name] = configMapRef === undefined ? ["Secret", secretRef?.name] : ["ConfigMap", configMapRef.name]
      const source = ofKind(kind).find(({ metadata }) => metadata.name === name)
      if (source === undefined) throw new Error(`no ${kind} ${name}`)
      return source.data ?? source.stringData
    }),
    Object.fromEntries(env.map(({ name, value }) => [name, value]))
  )

/** Values in the place of those that an operator has to replace. */
const replaced: Labels = {
  JWT_KEYS: Buffer.from("0123456789abcdef0123456789ABCDEF").toString("base64"),
  GEMINI_API_KEY: "a-key-of-ai-studio",
  STRIPE_SECRET_KEY: "sk_live_1234",
  STRIPE_WEBHOOK_SECRETS: "whsec_1234567890abcdef",
  STRIPE_PRO_PRICE_ID: "price_1234",
  ADMIN_TOKEN: "an-admin-token-of-32-characters.",
  DATABASE_URL: "postgres://chat:secret@postgres:5432/chat"
}

describe("the Kubernetes manifests", () => {
  it("have the API versions of their kinds, and names of their own", () => {
    for (const { apiVersion, kind } of manifests) assert.strictEqual(apiVersion, versions[kind], kind)
    const names = manifests.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
    assert.strictEqual(new Set(names).size, names.length)
    for (const kind of Object.keys(versions)) assert.isNotEmpty(ofKind(kind), kind)
  })

  it("select pods that exist", () => {
    const pods = workloads.map(({ spec }) => spec.template.metadata.labels)
    const selectors = [
      ...[...ofKind("Deployment"), ...ofKind("PodDisruptionBudget")].map(({ spec }) => spec.selector.matchLabels),
      ...ofKind("NetworkPolicy").map(({ spec }) => spec.podSelector.matchLabels),
      // The selector of a Service has no matchLabels.
      ...ofKind("Service").map(({ spec }) => spec.selector as unknown as Labels)
    ]
    for (const selector of selectors) {
      assert.isNotEmpty(Object.keys(selector))
      assert.lengthOf(
        pods.filter((labels) => matches(labels, selector)),
        1,
        JSON.stringify(selector)
      )
    }
    for (const { metadata, spec } of ofKind("Deployment"))
      assert.isTrue(matches(spec.template.metadata.labels, spec.selector.matchLabels), metadata.name)
  })

  it("scale workloads that exist, workers by a metric that the adapter makes", () => {
    const names = ofKind("Deployment").map(({ metadata }) => metadata.name)
    for (const { spec } of ofKind("HorizontalPodAutoscaler")) {
      assert.include(names, spec.scaleTargetRef.name)
      assert.isBelow(spec.minReplicas, spec.maxReplicas)
    }
    const [metric] = ofKind("HorizontalPodAutoscaler").flatMap(({ spec }) =>
      spec.metrics.flatMap(({ external }) => external?.metric.name ?? [])
    )
    const adapter = parse(readFileSync("deploy/prometheus/adapter.yaml", "utf8"))
    assert.strictEqual(adapter.rules.external[0].name.as, metric)
    assert.include(adapter.rules.external[0].metricsQuery, "chat_queue_oldest_seconds")
  })

  it("open the ports that the containers have", () => {
    for (const { spec } of ofKind("NetworkPolicy")) {
      const pod = workloads.find((workload) => matches(workload.spec.template.metadata.labels, spec.podSelector.matchLabels))
      if (pod === undefined) throw new Error("no pod")
      const ports = containerOf(pod).ports?.map(({ containerPort }) => containerPort)
      assert.deepStrictEqual(
        spec.ingress.flatMap(({ ports }) => ports).map(({ port }) => port),
        ports
      )
    }
    for (const { spec } of ofKind("Service"))
      assert.deepStrictEqual(
        spec.ports.map(({ targetPort }) => targetPort),
        ["http"]
      )
  })

  it("give every process settings with which it starts, and no other variable", async () => {
    for (const workload of workloads) {
      const given = environmentOf(containerOf(workload))
      for (const name of Object.keys(given)) assert.isTrue(name in variables, name)
      const operators = Object.fromEntries(Object.entries(replaced).filter(([name]) => name in given))
      const { settings, unread } = await settingsFrom({ ...given, ...operators })
      assert.deepStrictEqual(unread, [])
      assert.isFalse(settings.migrate)
      const { ports } = containerOf(workload)
      if (ports !== undefined) assert.strictEqual(settings.opsPort, ports[0]?.containerPort)
    }
    const roles = ofKind("Deployment").map((deployment) => environmentOf(containerOf(deployment))["ROLE"])
    assert.sameMembers(roles, ["api", "worker"])
  })

  it("hold no secret in a ConfigMap, and none that is real in a Secret", () => {
    for (const { data } of ofKind("ConfigMap")) for (const name of Object.keys(replaced)) assert.isUndefined(data?.[name], name)
    for (const { stringData = {} } of ofKind("Secret"))
      for (const value of Object.values(stringData)) assert.include(value, "REPLACE")
  })

  it("give a process the time to drain", () => {
    for (const deployment of ofKind("Deployment")) {
      const sleep = containerOf(deployment).lifecycle?.preStop?.sleep?.seconds ?? 0
      assert.isAtLeast(deployment.spec.template.spec.terminationGracePeriodSeconds ?? 30, 30 + sleep)
    }
  })

  it("run files of the build, the migrations once", () => {
    for (const workload of workloads) {
      const { command } = containerOf(workload)
      // Without a command it is that of the image.
      if (workload.kind === "Deployment") assert.isUndefined(command)
      else assert.deepStrictEqual(command, ["node", "dist/migrate.mjs"])
    }
    assert.match(readFileSync("scripts/build.ts", "utf8"), /migrate/)
    // Of a Job, Kubernetes takes no other policies.
    for (const { spec } of ofKind("Job")) assert.include(["Never", "OnFailure"], spec.template.spec.restartPolicy)
  })

  it("run the same image everywhere", () => {
    assert.lengthOf([...new Set(workloads.map((workload) => containerOf(workload).image))], 1)
  })
})

describe("the probes", () => {
  let database: TestDatabase
  let worker: Awaited<ReturnType<typeof startBackend>>
  beforeAll(async () => {
    database = await createDatabase()
    worker = await startBackend({ DATABASE_URL: database.url, GEMINI_BASE_URL: "http://127.0.0.1:9", ROLE: "worker" })
  })
  afterAll(async () => {
    await worker.stop()
    await database.drop()
  })

  it("ask for routes that an API and a worker have", async () => {
    for (const deployment of ofKind("Deployment")) {
      const { livenessProbe, ports, readinessProbe, startupProbe } = containerOf(deployment)
      for (const probe of [livenessProbe, readinessProbe, startupProbe]) {
        const { path = "", port } = probe?.httpGet ?? {}
        assert.strictEqual(port, ports?.[0]?.name)
        assert.strictEqual(routeOf("GET", path).template, path)
        assert.strictEqual((await request(worker.url, "GET", path)).status, 200)
      }
      assert.strictEqual(livenessProbe?.httpGet.path, "/healthz")
      assert.strictEqual(readinessProbe?.httpGet.path, "/readyz")
    }
  })
})

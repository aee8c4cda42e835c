import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { startStripeSimulator } from "../../simulators/stripe/StripeSimulator.ts"
import { AppConfig } from "../../src/config/Settings.ts"
import { runAllMigrations } from "../../src/database/Database.ts"
import { environment } from "../../src/ops/Launch.ts"
import { installAudit } from "../chaos/Audit.ts"
import type { Experiment } from "../chaos/Experiment.ts"
import { Ledger } from "../chaos/Ledger.ts"
import { keyOf, type Model, startModel } from "../chaos/Model.ts"
import { awaitUp } from "../chaos/Population.ts"
import { SupervisedProcess } from "../chaos/SupervisedProcess.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { until } from "../support/wait.ts"
import { Cluster } from "./Cluster.ts"
import { Daemon } from "./Daemon.ts"
import { webhookSecret } from "./Deliveries.ts"
import { Network } from "./Network.ts"
import { findPrograms, LoadBalancer, makePooler } from "./Proxies.ts"

const apiNames = ["api-1", "api-2", "api-3"]
const workerNames = ["worker-1", "worker-2", "worker-3"]
const databaseNames = ["db-1", "db-2"] as const
const serverPort = 3_000

/** Three API processes behind HAProxy, three workers, and PgBouncer before two Postgres, each on a host of its own. */
export interface Topology extends Experiment {
  readonly apis: readonly [LoadBalancer, LoadBalancer]
  readonly database: Cluster
  readonly network: Network
  readonly pooler: Daemon
  readonly stop: () => Promise<void>
}

/** Why the topology cannot be built here; undefined when it can. */
export const obstacle = (): string | undefined => findPrograms().missing ?? Network.obstacle()

/** Collects what must be stopped, and stops it in the opposite order. */
const makeStops = () => {
  const stops: Array<() => unknown> = []
  return {
    add: (stop: () => unknown) => void stops.push(stop),
    all: async () => {
      for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) await stop()
    }
  }
}
type Stops = ReturnType<typeof makeStops>

/** Proxies on this machine, which hosts reach by its address on their network. */
const makeForwarder = (network: Network, stops: Stops) => async (target: string) => {
  const proxy = await TcpProxy.start(target, undefined, network.gateway)
  stops.add(() => proxy.stop())
  return proxy
}

const migrate = (url: string) => {
  const settings = environment({ APP_ENV: "test", DATABASE_URL: url })
  return Effect.runPromise(runAllMigrations.pipe(Effect.provide(AppConfig.layer.pipe(Layer.provide(settings)))))
}

interface Limits {
  readonly basic: number
  readonly pro: number
}

/** Settings that all processes share. */
const startSimulators = async (network: Network, stops: Stops, limits: Limits) => {
  const forward = makeForwarder(network, stops)
  const model: Model = await startModel()
  stops.add(() => model.stop())
  const stripe = await startStripeSimulator()
  stops.add(() => stripe.stop())
  const settings = {
    GEMINI_BASE_URL: (await forward(model.url)).through(model.url),
    STRIPE_SECRET_KEY: "sk_test_simulated",
    STRIPE_WEBHOOK_SECRETS: webhookSecret,
    STRIPE_PRO_PRICE_ID: stripe.priceId,
    STRIPE_API_BASE: (await forward(stripe.url)).through(stripe.url),
    TRUSTED_PROXIES: `${network.gateway}/24`,
    DRAIN_DELAY: "3",
    BASIC_DAILY_PROMPTS: `${limits.basic}`,
    PRO_DAILY_PROMPTS: `${limits.pro}`
  }
  return { model, settings }
}

const build = async (stops: Stops, limits: Limits): Promise<Omit<Topology, "stop">> => {
  const programs = findPrograms()
  if (programs.missing !== undefined) throw new Error(programs.missing)
  const folder = mkdtempSync(join(tmpdir(), "topology-"))
  chmodSync(folder, 0o755)
  stops.add(() => rmSync(folder, { recursive: true, force: true }))
  const network = Network.make([...databaseNames, "pooler", "balancer", ...apiNames, ...workerNames])
  stops.add(() => network.close())
  const database = await Cluster.start(network, folder, databaseNames)
  stops.add(() => database.stop())
  await migrate(database.url)
  await installAudit(database)
  const { model, settings } = await startSimulators(network, stops, limits)

  const { daemon: pooler, url } = makePooler(programs.pgbouncer, folder, network.host("pooler"), new URL(database.url))
  await pooler.start()
  stops.add(() => pooler.stop())
  const processes: Array<SupervisedProcess> = []
  for (const name of [...apiNames, ...workerNames]) {
    const direct = await makeForwarder(network, stops)(database.url)
    const own = {
      ...settings,
      DATABASE_URL: url,
      DATABASE_DIRECT_URL: direct.through(database.url),
      GEMINI_API_KEY: keyOf(name)
    }
    const role = apiNames.includes(name) ? "api" : "worker"
    const process = new SupervisedProcess({
      name,
      role,
      port: serverPort,
      settings: own,
      proxy: direct,
      host: network.host(name)
    })
    stops.add(() => process.dismiss())
    processes.push(process)
  }
  await awaitUp(processes)
  const apis = processes.filter(({ role }) => role === "api")
  const balancer = await LoadBalancer.start(programs.haproxy, folder, network.host("balancer"), apis)
  stops.add(() => balancer.stop())
  await until("HAProxy has ready processes", async () => (await fetch(`${balancer.url}/readyz`).catch(() => undefined))?.ok)
  return {
    processes,
    apis: [balancer, balancer],
    database,
    model,
    ledger: new Ledger(),
    isClosing: false,
    measuredBeside: undefined,
    closesStreams: () => false,
    network,
    pooler
  }
}

/** Builds it, and takes down what was built when it fails. */
export const startTopology = async (limits: Limits): Promise<Topology> => {
  const stops = makeStops()
  // Each program on a host is killed when this process ends.
  process.setMaxListeners(64)
  try {
    return { ...(await build(stops, limits)), stop: stops.all }
  } catch (error) {
    await stops.all()
    throw error
  }
}

import { execFileSync } from "node:child_process"
import { chmodSync, existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Api } from "../chaos/Experiment.ts"
import type { Host, SupervisedProcess } from "../chaos/SupervisedProcess.ts"
import { Daemon } from "./Daemon.ts"

const folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
const pathOf = (name: string) => folders.map((folder) => join(folder, name)).find(existsSync)

/** What the topology needs of the machine, with the paths of the programs; or what is missing. */
export const findPrograms = () => {
  const [haproxy, pgbouncer] = [pathOf("haproxy"), pathOf("pgbouncer")]
  if (haproxy === undefined || pgbouncer === undefined) {
    const missing = [haproxy ?? "haproxy", pgbouncer ?? "pgbouncer"].filter((name) => !name.startsWith("/"))
    return { missing: `not installed: ${missing.join(" and ")} (apt-get install -y --no-install-recommends haproxy pgbouncer)` }
  }
  return { haproxy, pgbouncer, missing: undefined }
}

/** The versions of HAProxy and PgBouncer, as they print them. */
export const versions = (): string => {
  const { haproxy, pgbouncer } = findPrograms()
  if (haproxy === undefined || pgbouncer === undefined) return "none"
  const first = (path: string, option: string) => execFileSync(path, [option], { encoding: "utf8" }).split("\n")[0] ?? ""
  return `${first(haproxy, "-v")}; ${first(pgbouncer, "-V")}`
}

const proxyPort = 8080

/**
 * `/readyz` says which processes get requests. When no process is ready, because Postgres is away, those that live get
 * them, and refuse them in the product's own format. A host that is lost is noticed by what the kernel sends (TCP user
 * timeout and keep-alive), so that a process that drains keeps its requests in progress.
 */
const proxyConfiguration = (address: string, servers: ReadonlyArray<{ readonly name: string; readonly at: string }>) => `
global
  maxconn 4096
defaults
  mode http
  timeout connect 2s
  timeout client 65s
  timeout server 65s
  timeout check 3s
  retries 3
  option redispatch 1
  option forwardfor
  option srvtcpka
  srvtcpka-idle 3s
  srvtcpka-intvl 1s
  srvtcpka-cnt 3
  default-server inter 500ms fall 2 rise 1
frontend clients
  bind ${address}:${proxyPort}
  use_backend alive if { nbsrv(ready) eq 0 }
  default_backend ready
${["ready", "alive"]
  .map(
    (backend) => `backend ${backend}
  balance roundrobin
  option httpchk
  http-check send meth GET uri ${backend === "ready" ? "/readyz" : "/healthz"} hdr host check
  http-check expect status 200
  http-response set-header x-served-by %s
${servers.map(({ at, name }) => `  server ${name} ${at} check tcp-ut 5s`).join("\n")}`
  )
  .join("\n")}
`

/** HAProxy in front of the API processes, which users take for the API. */
export class LoadBalancer implements Api {
  readonly name = "HAProxy"
  readonly url: string
  readonly brokenStatuses = [502, 504]
  private readonly apis: ReadonlyArray<SupervisedProcess>
  private readonly daemon: Daemon

  private constructor(host: Host, apis: ReadonlyArray<SupervisedProcess>, daemon: Daemon) {
    this.url = `http://${host.address}:${proxyPort}`
    this.apis = apis
    this.daemon = daemon
  }

  static async start(command: string, folder: string, host: Host, apis: ReadonlyArray<SupervisedProcess>): Promise<LoadBalancer> {
    const file = join(folder, "haproxy.cfg")
    const servers = apis.map(({ name, url }) => ({ name, at: new URL(url).host }))
    writeFileSync(file, proxyConfiguration(host.address, servers))
    const daemon = new Daemon(host, { command, args: ["-db", "-f", file], port: proxyPort })
    await daemon.start()
    return new LoadBalancer(host, apis, daemon)
  }

  senderOf(headers: Headers): SupervisedProcess | undefined {
    const name = headers.get("x-served-by")
    return this.apis.find((api) => api.name === name)
  }

  stop(): Promise<void> {
    return this.daemon.stop()
  }
}

/** PgBouncer in transaction mode in front of the address at which the primary is. */
export const makePooler = (command: string, folder: string, host: Host, primary: URL, poolerPort = 6432) => {
  const [file, users] = [join(folder, "pgbouncer.ini"), join(folder, "users.txt")]
  writeFileSync(users, `"${primary.username}" "${primary.password}"\n`)
  writeFileSync(
    file,
    `
[databases]
* = host=${primary.hostname} port=${primary.port}
[pgbouncer]
listen_addr = ${host.address}
listen_port = ${poolerPort}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = transaction
max_client_conn = 1000
default_pool_size = 40
server_connect_timeout = 3
server_login_retry = 1
query_wait_timeout = 5
tcp_keepidle = 3
tcp_keepintvl = 1
tcp_keepcnt = 3
tcp_user_timeout = 5000
`
  )
  for (const path of [file, users]) chmodSync(path, 0o644)
  const asUser = process.getuid?.() === 0 ? ["-u", "nobody"] : []
  const url = Object.assign(new URL(primary.href), { hostname: host.address, port: `${poolerPort}` }).href
  return { url, daemon: new Daemon(host, { command, args: [...asUser, file], port: poolerPort }) }
}

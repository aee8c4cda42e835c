import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import type { Host } from "../chaos/SupervisedProcess.ts"

const ip = ["/usr/sbin/ip", "/sbin/ip", "/bin/ip"].find(existsSync) ?? "ip"

/** Runs `ip`; the commands of one call are one batch. */
const run = (...commands: ReadonlyArray<string>): string =>
  execFileSync(ip, ["-batch", "-"], { input: commands.join("\n"), encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] })

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`)

/** The names of namespaces and links of the run in a process. */
const namesOf = (pid: number) => ({
  space: (host: string) => `topology-${pid}-${host}`,
  link: (name: string) => `t${pid}${name}`
})

/** Removes what killed runs have left. */
const sweep = (): void => {
  const spaces = execFileSync(ip, ["netns", "list"], { encoding: "utf8" }).match(/^topology-\d+-\S+/gm) ?? []
  for (const space of spaces) if (!isAlive(Number(space.split("-")[1]))) run(`netns del ${space}`)
  const bridges = execFileSync(ip, ["-brief", "link", "show", "type", "bridge"], { encoding: "utf8" }).match(/^t\d+br/gm) ?? []
  for (const bridge of bridges) if (!isAlive(Number(/\d+/.exec(bridge)?.[0]))) run(`link del ${bridge}`)
}

/**
 * Hosts as network namespaces on one bridge, on which this machine is as well. A host can be cut off: its port leaves the
 * bridge, so packets are lost in both directions and no connection is closed. One address can move from host to host.
 */
export class Network {
  /** The address of this machine. */
  readonly gateway: string
  /** The address that moves. */
  readonly movingAddress: string
  private readonly hosts: ReadonlyArray<string>
  private readonly names = namesOf(process.pid)
  private readonly subnet = `10.${200 + ((process.pid >> 8) & 31)}.${process.pid & 255}`
  private isClosed = false
  /** The host that has the moving address. */
  private holder: string

  private constructor(hosts: readonly [string, ...ReadonlyArray<string>]) {
    this.hosts = hosts
    this.holder = hosts[0]
    this.gateway = `${this.subnet}.1`
    this.movingAddress = `${this.subnet}.100`
    process.once("exit", () => this.close())
    this.build()
  }

  /** Why namespaces cannot be made here; undefined when they can. */
  static obstacle(): string | undefined {
    const probe = `topology-${process.pid}-probe`
    try {
      run(`netns add ${probe}`, `netns del ${probe}`)
      execFileSync(ip, ["link", "add", `t${process.pid}pr`, "type", "bridge"], { stdio: "pipe" })
      execFileSync(ip, ["link", "del", `t${process.pid}pr`], { stdio: "pipe" })
      return undefined
    } catch (error) {
      return `network namespaces cannot be made here (${String(error).split("\n").slice(0, 2).join(" ").slice(0, 160)})`
    }
  }

  /** The first host gets the moving address. */
  static make(hosts: readonly [string, ...ReadonlyArray<string>]): Network {
    sweep()
    return new Network(hosts)
  }

  private build(): void {
    const { link, space } = this.names
    run(
      `link add ${link("br")} type bridge forward_delay 0`,
      `addr add ${this.gateway}/24 dev ${link("br")}`,
      `link set ${link("br")} up`
    )
    for (const [index, host] of this.hosts.entries()) {
      const port = link(`p${index}`)
      run(
        `netns add ${space(host)}`,
        `link add ${port} type veth peer name eth0 netns ${space(host)}`,
        `link set ${port} master ${link("br")} up`
      )
      this.inside(host, `addr add ${this.address(host)}/24 dev eth0`, "link set eth0 up", "link set lo up")
      // An address is answered for by its own link alone, so that it can move with its link.
      for (const [name, value] of [
        ["arp_ignore", 1],
        ["arp_announce", 2],
        ["rp_filter", 0]
      ]) {
        execFileSync(ip, ["netns", "exec", space(host), "sh", "-c", `echo ${value} > /proc/sys/net/ipv4/conf/all/${name}`])
      }
    }
    run(`link add ${link("mv")} type veth peer name moving netns ${space(this.holder)}`)
    run(`link set ${link("mv")} master ${link("br")} up`)
    this.raise(this.holder)
  }

  private inside(host: string, ...commands: ReadonlyArray<string>): void {
    execFileSync(ip, ["-n", this.names.space(host), "-batch", "-"], {
      input: commands.join("\n"),
      stdio: ["pipe", "pipe", "pipe"]
    })
  }

  private raise(host: string): void {
    this.inside(host, `addr add ${this.movingAddress}/24 dev moving`, "link set moving up")
  }

  private ports(host: string): ReadonlyArray<string> {
    const { link } = this.names
    return [link(`p${this.hosts.indexOf(host)}`), ...(host === this.holder ? [link("mv")] : [])]
  }

  address(host: string): string {
    return `${this.subnet}.${10 + this.hosts.indexOf(host)}`
  }

  host(name: string): Host {
    return { address: this.address(name), prefix: [ip, "netns", "exec", this.names.space(name)] }
  }

  /** Loses all packets from and to a host, without closing anything. */
  cut(host: string): void {
    run(...this.ports(host).map((port) => `link set ${port} nomaster`))
  }

  /** Undoes `cut`. */
  join(host: string): void {
    run(...this.ports(host).map((port) => `link set ${port} master ${this.names.link("br")}`))
  }

  /** Gives the moving address to another host, also when the host that had it is cut off. */
  move(to: string): void {
    this.inside(this.holder, `link set moving netns ${this.names.space(to)}`)
    this.holder = to
    this.raise(to)
    run(`link set ${this.names.link("mv")} master ${this.names.link("br")}`)
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    const { link, space } = this.names
    for (const host of this.hosts) run(`netns del ${space(host)}`)
    run(`link del ${link("br")}`)
  }
}

import { spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { stringify } from "yaml"
import { freePort } from "../../dev/freePort.ts"
import type { Series } from "./Chart.ts"

interface Matrix {
  readonly data: {
    readonly result: ReadonlyArray<{
      readonly metric: Readonly<Record<string, string>>
      readonly values: ReadonlyArray<readonly [number, string]>
    }>
  }
}

/** Starts a Prometheus that scrapes the targets each second, with the alert rules of `deploy/`. */
export const startPrometheus = async (
  targets: ReadonlyArray<{ readonly url: string; readonly component: string }>,
  token: string
) => {
  const folder = mkdtempSync(join(tmpdir(), "prometheus-"))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const configuration = {
    global: { scrape_interval: "1s", evaluation_interval: "1s" },
    rule_files: [resolve("deploy/prometheus/alerts.yaml")],
    scrape_configs: [
      {
        job_name: "gemini-chat",
        authorization: { credentials: token },
        static_configs: targets.map(({ component, url }) => ({ targets: [new URL(url).host], labels: { component } }))
      }
    ]
  }
  writeFileSync(join(folder, "prometheus.yaml"), stringify(configuration))
  const child = spawn(
    "prometheus",
    [
      `--config.file=${join(folder, "prometheus.yaml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=error"
    ],
    { stdio: ["ignore", "inherit", "inherit"] }
  )
  const isReady = () =>
    fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false
    )
  while (!(await isReady())) {
    if (child.exitCode !== null) throw new Error("Prometheus did not start (Debian: apt-get install prometheus)")
    await sleep(100)
  }

  const range = async (expr: string, legend: string, [from, to]: readonly [number, number]): Promise<ReadonlyArray<Series>> => {
    const query = new URLSearchParams({
      query: expr.replaceAll("$__rate_interval", "15s"),
      start: `${from}`,
      end: `${to}`,
      step: "2"
    })
    const response = await fetch(`${url}/api/v1/query_range?${query}`)
    if (!response.ok) throw new Error(`${expr}: ${await response.text()}`)
    const { data } = (await response.json()) as Matrix
    return data.result.map(({ metric, values }) => ({
      legend: legend.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? ""),
      points: values.map(([time, value]) => [time, Number(value)] as const).filter(([, value]) => Number.isFinite(value))
    }))
  }
  return {
    range,
    stop: () => {
      child.kill("SIGTERM")
      return new Promise<void>((done) => child.once("exit", () => done())).then(() => rmSync(folder, { recursive: true }))
    }
  }
}

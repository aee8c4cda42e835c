/** A line of a chart: its legend, and values at times in seconds. */
export interface Series {
  readonly legend: string
  readonly points: ReadonlyArray<readonly [time: number, value: number]>
}

const colours = ["#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#5195ce", "#ba43a9", "#705da0", "#b7dbab", "#f4d598"]

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

const scaled = (value: number, unit: string): string => {
  const digits = (number: number) => Number(number.toPrecision(3)).toString()
  if (unit === "percentunit") return `${digits(value * 100)} %`
  if (unit === "s") return value !== 0 && value < 1 ? `${digits(value * 1_000)} ms` : `${digits(value)} s`
  if (unit === "bytes") return `${digits(value / 2 ** 20)} MiB`
  if (unit === "currencyUSD") return `$${digits(value)}`
  if (unit === "reqps" || unit === "ops") return `${digits(value)}/s`
  return digits(value)
}

/** The last value of a panel that shows one number. */
export const stat = (series: ReadonlyArray<Series>, unit: string): string => {
  const last = series[0]?.points.at(-1)?.[1]
  return `<div class="stat">${last === undefined ? "no data" : scaled(last, unit)}</div>`
}

/** Lines over time, as Grafana draws them: the axis begins at zero. */
export const chart = (series: ReadonlyArray<Series>, unit: string, [from, to]: readonly [number, number]): string => {
  const [width, height] = [480, 150]
  const most = Math.max(...series.flatMap(({ points }) => points.map(([, value]) => value)), 0) || 1
  const x = (time: number) => (((time - from) / (to - from)) * width).toFixed(1)
  const y = (value: number) => (height - (value / most) * (height - 8)).toFixed(1)
  const lines = series.map(
    ({ points }, index) =>
      `<polyline fill="none" stroke="${colours[index % colours.length]}" stroke-width="1.4" points="${points.map(([time, value]) => `${x(time)},${y(value)}`).join(" ")}"/>`
  )
  const grid = [0, 0.5, 1].map((share) => {
    const at = y(most * share)
    return `<line x1="0" x2="${width}" y1="${at}" y2="${at}" stroke="#333"/><text x="2" y="${Number(at) - 2}">${scaled(most * share, unit)}</text>`
  })
  const legend = series.map(
    ({ legend }, index) => `<span><i style="background:${colours[index % colours.length]}"></i>${escape(legend)}</span>`
  )
  return `<svg viewBox="0 -8 ${width} ${height + 12}" preserveAspectRatio="none">${grid.join("")}${lines.join("")}</svg>
    <div class="legend">${legend.length === 0 ? "no data" : legend.join("")}</div>`
}

const minute = 60_000
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" })

/** Names a time by its distance from now: `5 minutes ago`, `yesterday`. */
export const ago = (time: string): string => {
  const minutes = Math.round((Date.parse(time) - Date.now()) / minute)
  if (Math.abs(minutes) < 60) return relative.format(minutes, "minute")
  const hours = Math.round(minutes / 60)
  return Math.abs(hours) < 24 ? relative.format(hours, "hour") : relative.format(Math.round(hours / 24), "day")
}

/** How long it is until a time: `5 h 12 min`. */
export const until = (time: string): string => {
  const minutes = Math.max(1, Math.ceil((Date.parse(time) - Date.now()) / minute))
  const hours = Math.floor(minutes / 60)
  return hours === 0 ? `${minutes} min` : `${hours} h ${minutes % 60} min`
}

const dateFormat = new Intl.DateTimeFormat("en", { dateStyle: "medium" })
export const day = (time: string): string => dateFormat.format(new Date(time))

const numberFormat = new Intl.NumberFormat("en")
export const count = (value: number): string => numberFormat.format(value)
export const counted = (value: number, one: string): string => `${count(value)} ${one}${value === 1 ? "" : "s"}`

/** Bytes in units that people know: `12 KB`. */
export const size = (bytes: number): string =>
  bytes < 1_000 ? counted(bytes, "byte") : bytes < 999_500 ? `${Math.round(bytes / 1_000)} KB` : `${(bytes / 1e6).toFixed(1)} MB`

/** Millionths of a US dollar, with as many digits as the amount needs. */
export const money = (micros: number): string => {
  const dollars = micros / 1_000_000
  const digits = dollars === 0 || dollars >= 1 ? 2 : Math.min(6, 2 - Math.floor(Math.log10(dollars)))
  return `$${dollars.toFixed(digits)}`
}

/** An amount in the minor units of its currency: `$20.00`. */
export const price = (amount: number, currency: string): string => {
  const format = new Intl.NumberFormat("en", { style: "currency", currency })
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2
  return format.format(amount / 10 ** digits)
}

/** A body as it is read best: JSON with indentation, anything else unchanged. */
export const pretty = (text: string): string => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

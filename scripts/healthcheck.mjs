/**
 * The container's health check: exits 0 when the server with this container's settings answers /healthz. A worker exits
 * when its queue fails, so a running one is healthy.
 */
const { HOST = "", PORT, ROLE } = process.env

if (ROLE !== "worker") {
  const host = ["", "0.0.0.0", "::"].includes(HOST) ? "127.0.0.1" : HOST.includes(":") ? `[${HOST}]` : HOST
  const response = await fetch(`http://${host}:${PORT || 3000}/healthz`, { signal: AbortSignal.timeout(4_000) }).catch(
    () => undefined
  )
  process.exitCode = response?.ok === true ? 0 : 1
}

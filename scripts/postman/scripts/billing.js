/** Keeps how the server bills: `simulator`, `stripe` or `off`. Later requests depend on it. */
const url = pm.response.json().checkoutUrl || ""
const isSimulator = /^http:\/\/(127\.0\.0\.1|localhost)[:/]/.test(url)
pm.collectionVariables.set("billing", pm.response.code === 503 ? "off" : isSimulator ? "simulator" : "stripe")

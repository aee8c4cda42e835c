/** Notes who bills: the Stripe simulator, Stripe, or nobody (`off`). Later requests depend on it. */
const url = pm.response.json().checkoutUrl || ""
const isSimulator = /^http:\/\/(127\.0\.0\.1|localhost)[:/]/.test(url)
pm.collectionVariables.set("billing", pm.response.code === 503 ? "off" : isSimulator ? "simulator" : "stripe")

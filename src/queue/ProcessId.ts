/** Identifies this process in its leases and heartbeats. */
export const processId: string = crypto.randomUUID()

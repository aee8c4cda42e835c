/** Identifies this process in the rows that it holds (leases, heartbeats). */
export const processId: string = crypto.randomUUID()

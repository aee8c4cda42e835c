/** The client's own id when it is valid, otherwise a new one. */
export const requestIdFrom = (header: string | undefined): string =>
  header !== undefined && /^[\w-]{1,64}$/.test(header) ? header : crypto.randomUUID()

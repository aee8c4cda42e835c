/** What the log says of a request beside its method, route and status. */
export interface RequestIdentity {
  readonly requestId: string
  readonly traceId?: string | undefined
  /** The key of the client's address, as limits by address use it. */
  readonly address?: (() => string | null) | undefined
  /** Once the request is authenticated. */
  userId?: string
  /** Of the problem that is its response. */
  code?: string
}

/** By Node's request, which lives as long as the exchange. */
const identities = new WeakMap<object, RequestIdentity>()

export const identify = (request: object, identity: RequestIdentity): void => void identities.set(request, identity)

export const identityOf = (request: object): RequestIdentity | undefined => identities.get(request)

/** Names the user who sent a request. */
export const identifyUser = (request: object, userId: string): void => {
  const identity = identities.get(request)
  if (identity !== undefined) identity.userId = userId
}

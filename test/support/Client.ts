let numbers = 0

/** A fresh Indian mobile number; another in every process, so that files can run side by side. */
export const freshMobile = () =>
  `+9198${String((process.pid % 1000) * 100_000 + numbers++)
    .padStart(8, "0")
    .slice(-8)}`

export interface Reply {
  readonly status: number
  readonly headers: Headers
  // oxlint-disable-next-line typescript/no-explicit-any -- what came over the wire is what the tests are about
  readonly body: any
  readonly text: string
}

/** One HTTP request as a client makes it; JSON in, whatever came back out. */
export const request = async (
  base: string,
  method: string,
  path: string,
  options: { readonly body?: unknown; readonly token?: string | undefined; readonly headers?: Record<string, string> } = {}
): Promise<Reply> => {
  const response = await fetch(base + path, {
    method,
    redirect: "manual",
    headers: {
      ...(options.body === undefined ? {} : { "content-type": "application/json" }),
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
      ...options.headers
    },
    ...(options.body === undefined
      ? {}
      : { body: typeof options.body === "string" ? options.body : JSON.stringify(options.body) }),
    signal: AbortSignal.timeout(60_000)
  })
  const text = await response.text()
  const isJson = response.headers.get("content-type")?.includes("json") === true
  return { status: response.status, headers: response.headers, text, body: isJson && text !== "" ? JSON.parse(text) : undefined }
}

interface AskOptions {
  readonly wait?: number
  readonly key?: string
  /** Ids of files. */
  readonly attachments?: ReadonlyArray<string>
}

/** Someone who is logged in. */
export interface Person {
  readonly mobile: string
  readonly token: string
  readonly userId: string
  readonly call: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Reply>
  /** Opens a room and returns its id. */
  readonly room: (settings?: Record<string, unknown>) => Promise<string>
  /** Sends a question; with `wait`, until its reply has ended. */
  readonly ask: (room: string, content: string, options?: AskOptions) => Promise<Reply>
}

/** The user of an existing token, at this base URL. */
export const personAt = (base: string, login: { mobile: string; token: string; userId: string }): Person => {
  const call: Person["call"] = (method, path, body, headers = {}) =>
    request(base, method, path, { body, token: login.token, headers })
  return {
    ...login,
    call,
    room: async (settings = {}) => (await call("POST", "/chatroom", settings)).body.id,
    ask: (room, content, options = {}) =>
      call(
        "POST",
        `/chatroom/${room}/message${options.wait === undefined ? "" : `?wait=${options.wait}`}`,
        options.attachments === undefined ? { content } : { content, attachments: options.attachments },
        options.key === undefined ? {} : { "idempotency-key": options.key }
      )
  }
}

/** Logs a number in with its one-time code. */
export const logIn = async (base: string, mobile = freshMobile()): Promise<Person> => {
  const sent = await request(base, "POST", "/auth/send-otp", { body: { mobile } })
  const { challengeId, otp } = sent.body
  const login = await request(base, "POST", "/auth/verify-otp", { body: { mobile, otp, challengeId } })
  if (login.status !== 200) throw new Error(`no login: ${sent.text} ${login.text}`)
  return personAt(base, { mobile, token: login.body.token, userId: login.body.user.id })
}

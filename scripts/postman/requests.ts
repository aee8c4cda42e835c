/** The Postman collection beside openapi.json: which requests, in which order, with which values, and what each expects. */

export const name = "Gemini chat backend"

export const about = `The whole API in the order in which a user meets it: sign up, create a chatroom, ask Gemini, use up the day's prompts, subscribe to Pro, manage sessions, and see every kind of error.

**To begin:** start the server with \`npm run dev\`, choose the environment *Gemini chat: local*, and send the requests one after the other, or run the whole collection with the runner. Each run signs up a new random number, so it can be repeated at once.

Scripts keep tokens, ids and codes in the collection's variables; every request inherits the access token from the collection. Each response is compared with its expected status and with the headers and the schema of openapi.json. Where a reply takes a while the runner polls, at most 30 times.

The runner needs a server that returns its one-time codes, as \`npm run dev\` does (\`OTP_DELIVERY=response\`). Where codes are delivered, send the requests by hand and fill in the variable \`otp\`.

For a deployed server, put its address into \`baseUrl\` of the environment *Gemini chat: Render*. Requests that need the Stripe simulator are skipped there. Set \`adminToken\` and \`webhookSecret\` (variables of this collection) to the server's own to try those routes, too.

The file is generated from openapi.json and scripts/postman/: change it there.`

export interface Variable {
  readonly about: string
  readonly value?: string | undefined
}

/** The collection's variables; those without a value are filled by the requests. */
export const variables = {
  baseUrl: {
    value: "http://localhost:3000",
    about: "Where the server is, with API_PREFIX if it has one. The environment's value is used first."
  },
  adminToken: { about: "The server's ADMIN_TOKEN. While it is empty, the operator's routes must refuse." },
  webhookSecret: {
    value: "whsec_development",
    about: "One of the server's STRIPE_WEBHOOK_SECRETS; the value given is that of `npm run dev`."
  },
  mobile: { about: "The user's mobile number: random, new with each sign-up." },
  password: { about: "The user's password: random, new with each sign-up." },
  otp: { about: "The last one-time code. Fill it in by hand where the server delivers its codes." },
  signupToken: { about: "The secret of the sign-up, with which its password, name and e-mail are adopted." },
  challengeId: { about: "The challenge that the last code belongs to." },
  token: { about: "The access token that every request inherits." },
  refreshToken: { about: "The refresh token." },
  secondToken: { about: "The access token of a second device, or of a second user." },
  secondSessionId: { about: "The session of the second device." },
  roomId: { about: "The chatroom of the questions." },
  secondRoomId: { about: "A chatroom to delete." },
  idempotencyKey: { about: "The last idempotency key." },
  etag: { about: "The version of the list of chatrooms." },
  cursor: { about: "The start of the list's next page." },
  replyId: { about: "The last reply." },
  lastEventId: { about: "The last event of a reply's stream, as attempt:offset." },
  dailyLimit: { about: "The prompts a day of the user's tier." },
  tries: { about: "How often the current request was repeated." },
  billing: { about: "How the server bills: simulator, stripe or off. Empty until Subscribe to Pro is sent." },
  checkoutUrl: { about: "The page to pay on." },
  checkoutId: { about: "The checkout session." },
  webhookBody: { about: "The last webhook event, byte for byte as it was signed." }
} satisfies Readonly<Record<string, Variable>>

type Values = Readonly<Record<string, string>>

/** A status, or a status and the code of the problem. */
type Expected = number | `${number} ${string}`

export interface Details {
  /** Shown before the document's own description. */
  readonly about?: string | undefined
  /** Path parameters; by default `id` is the current chatroom and `mid` the current reply. */
  readonly path?: Values | undefined
  readonly query?: Values | undefined
  readonly headers?: Values | undefined
  /** An object is sent as JSON, a text as it is; by default the operation's example is sent. */
  readonly body?: object | string | undefined
  /** The variable with the access token; by default the one that the operation's security asks for. */
  readonly as?: keyof typeof variables | "none" | undefined
  /** Variables to keep for later requests: a path into the body, or the name of a header. */
  readonly save?: { readonly [name in keyof typeof variables]?: string } | undefined
  /** The media type of the response where the document has several. */
  readonly media?: string | undefined
  /** The request is repeated until its body has these values. */
  readonly until?: Readonly<Record<string, string | number>> | undefined
  /** Files of `scripts/` that run before and after the request, and a variable that they read. */
  readonly before?: string | undefined
  readonly after?: string | undefined
  readonly set?: Values | undefined
}

/** Name, operation of the document (or method and path of a request that it does not have), expected status, details. */
export type Request = readonly [name: string, operation: string, expected: Expected | ReadonlyArray<Expected>, details?: Details]

export interface Folder {
  readonly name: string
  readonly about: string
  /** A file of `scripts/` that runs before each of the folder's requests. */
  readonly before?: string | undefined
  readonly requests: ReadonlyArray<Request | Folder>
}

export const isFolder = (entry: Request | Folder): entry is Folder => "requests" in entry

/** All requests, in the runner's order. */
export const requestsOf = (entries: ReadonlyArray<Request | Folder>): ReadonlyArray<Request> =>
  entries.flatMap((entry) => (isFolder(entry) ? requestsOf(entry.requests) : [entry]))

const mobile = { mobile: "{{mobile}}" }
const code = { ...mobile, otp: "{{otp}}", challengeId: "{{challengeId}}" }
const saveCode = { otp: "otp", challengeId: "challengeId" } as const
const saveTokens = { token: "token", refreshToken: "refreshToken" } as const
const key = { "Idempotency-Key": "{{idempotencyKey}}" }
const waitWithKey = { query: { wait: "20" }, headers: key }
const wait = { query: { wait: "20" } }
const signed = { before: "signEvent", headers: { "Stripe-Signature": "{{webhookSignature}}" }, body: "{{webhookBody}}" }
const unknownId = "01890000-0000-7000-8000-000000000000"

export const folders: ReadonlyArray<Folder> = [
  {
    name: "1. Sign up and log in",
    about: "A mobile number, a one-time code, and the access token that the other requests need.",
    requests: [
      [
        "Sign up",
        "signUp",
        201,
        {
          before: "newUser",
          body: { ...mobile, name: "Ada Lovelace", email: "ada@example.com", password: "{{password}}" },
          save: { signupToken: "signupToken" }
        }
      ],
      ["Send code", "sendOtp", 200, { body: mobile, save: saveCode }],
      ["Log in with code", "verifyOtp", 200, { body: { ...code, signupToken: "{{signupToken}}" }, save: saveTokens }],
      ["Get profile", "getMe", 200],
      [
        "Log in with password",
        "passwordLogin",
        [200, "404 not_found"],
        { about: "Off unless the server has `PASSWORD_LOGIN=true`.", body: { ...mobile, password: "{{password}}" } }
      ]
    ]
  },
  {
    name: "2. Chatrooms",
    about: "Create, list, page, change and delete chatrooms.",
    requests: [
      ["Create chatroom", "createChatroom", 201, { before: "newKey", headers: key, save: { roomId: "id" } }],
      [
        "Create chatroom: same idempotency key",
        "createChatroom",
        201,
        { about: "Replays the first response; no second chatroom is created.", headers: key }
      ],
      ["Create chatroom: all defaults", "createChatroom", 201, { body: {}, save: { secondRoomId: "id" } }],
      ["List chatrooms", "listChatrooms", 200, { save: { etag: "ETag" } }],
      ["List chatrooms: not modified", "listChatrooms", 304, { headers: { "If-None-Match": "{{etag}}" } }],
      ["List chatrooms: first page", "listChatrooms", 200, { query: { limit: "1" }, save: { cursor: "nextCursor" } }],
      ["List chatrooms: next page", "listChatrooms", 200, { query: { limit: "1", cursor: "{{cursor}}" } }],
      ["Update chatroom", "updateChatroom", 200],
      ["Get chatroom", "getChatroom", 200],
      ["Get latest exchange: empty chatroom", "getLatest", 200],
      ["Delete chatroom", "deleteChatroom", 204, { path: { id: "{{secondRoomId}}" } }],
      ["Get chatroom: deleted", "getChatroom", "404 chatroom_not_found", { path: { id: "{{secondRoomId}}" } }]
    ]
  },
  {
    name: "3. Messages and replies",
    about: "Ask, and get the reply by polling, by waiting or as a stream; regenerate, cancel, search and export.",
    requests: [
      ["Send message", "sendMessage", 202, { save: { replyId: "reply.id" } }],
      [
        "Get latest exchange: poll until the reply is completed",
        "getLatest",
        200,
        { about: "The runner repeats this request every second.", until: { "reply.status": "completed" } }
      ],
      [
        "Send message: wait for the reply",
        "sendMessage",
        201,
        { before: "newKey", ...waitWithKey, save: { replyId: "reply.id" } }
      ],
      [
        "Send message: same idempotency key",
        "sendMessage",
        201,
        {
          about: "For a client that lost its connection: replays the message and its reply, and charges no prompt.",
          ...waitWithKey
        }
      ],
      ["Get reply", "getMessage", 200],
      ["Stream reply", "streamMessage", 200, { after: "lastEvent" }],
      ["Stream reply: resume after the last event", "streamMessage", 204, { headers: { "Last-Event-ID": "{{lastEventId}}" } }],
      ["Get context of reply", "getMessageContext", 200],
      ["List messages", "listMessages", 200, { query: { limit: "50" } }],
      ["Regenerate reply", "regenerateMessage", 202, { save: { replyId: "reply.id" } }],
      ["Get reply: wait until it is completed", "getMessage", 200, { query: { wait: "20" }, until: { status: "completed" } }],
      ["Cancel reply: already completed", "cancelMessage", "409 already_finished"],
      [
        "Send message: slow reply",
        "sendMessage",
        202,
        {
          about: "The words in brackets make the Gemini simulator slow, so that there is time to cancel the reply.",
          body: { content: "Write a very long story. [[latency 20000]]" },
          save: { replyId: "reply.id" }
        }
      ],
      ["Cancel reply", "cancelMessage", 200],
      ["Search messages", "search", 200, { query: { q: "engine" } }],
      ["Export chatroom as JSON", "exportChatroom", 200],
      ["Export chatroom as Markdown", "exportChatroom", 200, { query: { format: "markdown" }, media: "text/markdown" }]
    ]
  },
  {
    name: "4. Quota",
    about: "Basic has 5 prompts a UTC day. Further prompts are refused until midnight, or until the user subscribes.",
    requests: [
      ["Get profile: today's quota", "getMe", 200, { save: { dailyLimit: "quota.limit" } }],
      [
        "Send message: repeat until the quota is exceeded",
        "sendMessage",
        [201, "429 quota_exceeded"],
        { ...wait, until: { code: "quota_exceeded" } }
      ],
      ["Get profile: refused prompt not charged", "getMe", 200, { until: { "quota.remaining": 0 } }],
      ["Get usage by day", "getUsage", 200]
    ]
  },
  {
    name: "5. Subscription",
    about: "From Basic to Pro through Stripe's checkout.",
    requests: [
      ["Get subscription: Basic", "getSubscriptionStatus", 200],
      [
        "Subscribe to Pro",
        "subscribe",
        [201, "503 billing_unavailable"],
        {
          about: "With `BILLING=off` the server answers 503, and the requests that need billing are skipped.",
          after: "billing",
          save: { checkoutUrl: "checkoutUrl", checkoutId: "sessionId" }
        }
      ],
      {
        name: "Paid at the Stripe simulator",
        about: "Pay, wait for the webhooks, cancel and reactivate. Skipped where the checkout is not the Stripe simulator's.",
        before: "onlySimulator",
        requests: [
          ["Subscribe: checkout still open", "subscribe", 200],
          [
            "Pay at the checkout",
            "POST {{checkoutUrl}}",
            303,
            {
              about:
                "Presses *Pay* on the checkout page of the Stripe simulator of `npm run dev`. For a checkout at Stripe, open `checkoutUrl` in a browser instead (test card 4242 4242 4242 4242).",
              headers: { "Content-Type": "application/x-www-form-urlencoded" },
              body: "action=pay&email=ada%40example.com"
            }
          ],
          [
            "Get subscription: poll until Pro",
            "getSubscriptionStatus",
            200,
            { until: { tier: "pro", status: "active" }, after: "morePrompts" }
          ],
          ["Return from the checkout", "billingReturn", 200, { query: { session_id: "{{checkoutId}}" } }],
          ["Send message: quota of Pro", "sendMessage", 201, wait],
          ["Subscribe: already subscribed", "subscribe", "409 already_subscribed"],
          ["Open customer portal", "openPortal", 201],
          ["Cancel subscription", "cancelSubscription", 200],
          ["Subscribe: cancellation pending", "subscribe", "409 pending_cancellation"],
          ["Reactivate subscription", "reactivateSubscription", 200]
        ]
      }
    ]
  },
  {
    name: "6. Webhook",
    about: "What Stripe sends, signed in its own scheme with the variable `webhookSecret`.",
    requests: [
      ["Stripe event: signed", "stripeWebhook", 200, { ...signed, set: { event: "new" } }],
      [
        "Stripe event: delivered again",
        "stripeWebhook",
        200,
        { about: "Stripe delivers at least once; the event is stored once.", ...signed, set: { event: "repeated" } }
      ],
      ["Stripe event: changed", "stripeWebhook", "400 signature_invalid", { ...signed, set: { event: "changed" } }],
      ["Stripe event: signed ten minutes ago", "stripeWebhook", "400 signature_invalid", { ...signed, set: { event: "old" } }],
      ["Stripe event: unsigned", "stripeWebhook", "400 signature_invalid", { ...signed, headers: {}, set: { event: "unsigned" } }]
    ]
  },
  {
    name: "7. Profile, sessions and password",
    about:
      "The user's data, the devices that are logged in, a changed and a forgotten password, and the deletion of the account.",
    requests: [
      ["Update profile", "updateMe", 200, { body: { name: "Ada King", email: null } }],
      ["Export my data", "exportMe", 200],
      ["Send code: second device", "sendOtp", 200, { body: mobile, save: saveCode }],
      ["Log in with code: second device", "verifyOtp", 200, { body: code, save: { secondToken: "token" } }],
      ["List sessions: second device", "listSessions", 200, { as: "secondToken", save: { secondSessionId: "data.0.id" } }],
      ["Revoke session: second device", "revokeSession", 204, { path: { id: "{{secondSessionId}}" } }],
      ["Get profile: session revoked", "getMe", "401 session_revoked", { as: "secondToken" }],
      ["Refresh token", "refresh", 200, { body: { refreshToken: "{{refreshToken}}" }, save: saveTokens }],
      [
        "Change password",
        "changePassword",
        204,
        { body: { currentPassword: "{{password}}", newPassword: "{{password}} battery staple" } }
      ],
      [
        "Change password: same as before",
        "changePassword",
        "422 same_password",
        { body: { currentPassword: "{{password}} battery staple", newPassword: "{{password}} battery staple" } }
      ],
      ["Forgot password", "forgotPassword", 200, { body: mobile, save: saveCode }],
      [
        "Reset password: too weak",
        "resetPassword",
        "422 weak_password",
        { about: "The code stays valid.", body: { ...code, newPassword: "password" } }
      ],
      ["Reset password", "resetPassword", 204, { body: { ...code, newPassword: "{{password}}" } }],
      ["Get profile: after the reset", "getMe", "401 session_revoked"],
      ["Send code: after the reset", "sendOtp", 200, { body: mobile, save: saveCode }],
      ["Log in with code: after the reset", "verifyOtp", 200, { body: code, save: saveTokens }],
      ["Log out: other sessions", "logout", 204, { body: { scope: "others" } }],
      ["List sessions: one left", "listSessions", 200],
      ["Delete account", "deleteMe", 204],
      ["Get profile: account deleted", "getMe", "401 session_revoked"]
    ]
  },
  {
    name: "8. Errors",
    about:
      "What the server refuses, and how: every error is `application/problem+json` with a stable `code` and a `requestId`. Two more users log in for this.",
    requests: [
      ["Send code: new user", "sendOtp", 200, { before: "newUser", body: mobile, save: saveCode }],
      ["Send code: too soon", "sendOtp", "429 otp_cooldown", { body: mobile }],
      [
        "Log in with code: wrong code",
        "verifyOtp",
        "400 otp_invalid",
        { before: "wrongCode", body: { ...code, otp: "{{wrongOtp}}" } }
      ],
      ["Log in with code: new user", "verifyOtp", 200, { body: code, save: saveTokens }],
      ["Log in with code: used code", "verifyOtp", "400 otp_invalid", { body: code }],
      ["Sign up: number taken", "signUp", "409 phone_taken", { body: mobile }],
      ["Sign up: invalid number", "signUp", "400 validation_failed", { body: { mobile: "12345" } }],
      ["Change password: too weak", "changePassword", "422 weak_password", { body: { newPassword: "password" } }],
      ["Refresh token: invalid", "refresh", "401 refresh_invalid", { body: { refreshToken: "none" } }],
      ["Get profile: no token", "getMe", "401 unauthenticated", { as: "none" }],
      [
        "Get profile: forged token",
        "getMe",
        "401 token_invalid",
        { as: "none", headers: { Authorization: "Bearer eyJhbGciOiJub25lIn0.e30." } }
      ],
      ["Create chatroom: malformed JSON", "createChatroom", "400 bad_json", { body: '{"title": "The sky' }],
      [
        "Create chatroom: not JSON",
        "createChatroom",
        "415 unsupported_media_type",
        { headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: "title=The+sky" }
      ],
      ["Create chatroom: invalid values", "createChatroom", "400 validation_failed", { body: { title: "", temperature: 3 } }],
      [
        "Create chatroom: too large",
        "createChatroom",
        "413 payload_too_large",
        { before: "tooLong", body: { title: "{{tooLong}}" } }
      ],
      ["List chatrooms: invalid limit", "listChatrooms", "400 validation_failed", { query: { limit: "0" } }],
      ["List chatrooms: forged cursor", "listChatrooms", "400 validation_failed", { query: { cursor: "bm9uZQ" } }],
      ["Create chatroom: new user", "createChatroom", 201, { before: "newKey", headers: key, save: { roomId: "id" } }],
      [
        "Create chatroom: idempotency key reused",
        "createChatroom",
        "422 idempotency_key_reused",
        { headers: key, body: { title: "Another" } }
      ],
      ["Send message: empty", "sendMessage", "400 validation_failed", { body: { content: "" } }],
      ["Get chatroom: unknown", "getChatroom", "404 chatroom_not_found", { path: { id: unknownId } }],
      ["Get chatroom: invalid id", "getChatroom", "400 validation_failed", { path: { id: "none" } }],
      ["Stream reply: unknown message", "streamMessage", "404 message_not_found", { path: { id: "{{roomId}}", mid: unknownId } }],
      ["Revoke session: unknown", "revokeSession", "404 session_not_found", { path: { id: unknownId } }],
      ["Cancel subscription: none", "cancelSubscription", "404 no_subscription"],
      ["Reactivate subscription: none", "reactivateSubscription", "409 not_cancelling"],
      ["Open customer portal: no customer", "openPortal", "404 no_customer"],
      ["Return from the checkout: unknown", "billingReturn", "404 checkout_not_found", { query: { session_id: "cs_test_none" } }],
      ["Unknown route", "GET /nothing/here", "404 not_found", { about: "Unknown routes have the same error format." }],
      [
        "Unsupported method",
        "PUT /chatroom",
        "405 method_not_allowed",
        { about: "`Allow` lists the supported methods.", body: {} }
      ],
      ["Send code: another user", "sendOtp", 200, { before: "newUser", body: mobile, save: saveCode }],
      ["Log in with code: another user", "verifyOtp", 200, { body: code, save: { secondToken: "token" } }],
      [
        "Get chatroom: another user's",
        "getChatroom",
        "404 chatroom_not_found",
        { about: "404 rather than 403, which would tell that the chatroom exists.", as: "secondToken" }
      ],
      ["Send message: another user's chatroom", "sendMessage", "404 chatroom_not_found", { as: "secondToken" }],
      ["Log out", "logout", 204, { as: "secondToken", body: {} }],
      ["Get profile: logged out", "getMe", "401 session_revoked", { as: "secondToken" }],
      ["Delete account: new user", "deleteMe", 204]
    ]
  },
  {
    name: "9. Health and operations",
    about:
      "For load balancers and operators. The last two need the variable `adminToken`; while it is empty they must be refused.",
    requests: [
      ["Health", "getHealth", 200],
      ["Readiness", "getReadiness", 200],
      ["Queue", "getQueue", [200, "401 unauthenticated", "404 not_found"], { before: "operator" }],
      ["Metrics", "getMetrics", [200, "401 unauthenticated", "404 not_found"], { before: "operator" }]
    ]
  }
]

import { call, type Folder, folder } from "./Entries.ts"

/** The Postman collection beside openapi.json: which requests, in which order, with which values, and what each expects. */

export const name = "Gemini chat backend"

export const about = `The whole API in the order in which a user meets it: sign up, create a chatroom, ask Gemini, use up the day's prompts, subscribe to Pro, manage sessions, and see every kind of error.

**To begin:** start the server with \`npm run dev\`, choose the environment *Gemini chat: local*, and send the requests one after the other, or run the whole collection with the runner. Each run signs up a new random number, so it can be repeated at once.

Scripts keep tokens, ids and codes in the collection's variables; every request inherits the access token from the collection. Each response is compared with its expected status and with the headers and the schema of openapi.json. Where a reply takes a while the runner polls, at most 30 times.

The runner needs a server that returns its one-time codes, as \`npm run dev\` does (\`OTP_DELIVERY=response\`). Where codes are delivered, send the requests by hand and fill in the variable \`otp\`.

For a deployed server, put its address into \`baseUrl\` of the environment *Gemini chat: Render*. Requests that need the Stripe simulator are skipped there. Set \`adminToken\` and \`webhookSecret\` (variables of this collection) to the server's own to try those routes, too.

The file is generated from openapi.json and scripts/postman/: change it there.`

const mobile = { mobile: "{{mobile}}" }
const code = { ...mobile, otp: "{{otp}}", challengeId: "{{challengeId}}" }
const newPassword = "{{password}} battery staple"
const saveCode = { otp: "otp", challengeId: "challengeId" } as const
const saveTokens = { token: "token", refreshToken: "refreshToken" } as const
const key = { "Idempotency-Key": "{{idempotencyKey}}" }
const waitWithKey = { query: { wait: "20" }, headers: key }
const wait = { query: { wait: "20" } }
const stripeEvent = (event: "new" | "repeated" | "changed" | "old" | "unsigned") => ({
  before: "signEvent",
  set: { event },
  headers: event === "unsigned" ? {} : { "Stripe-Signature": "{{webhookSignature}}" },
  body: "{{webhookBody}}"
})
const uiRequest = (parts: ReadonlyArray<object>) => ({
  id: "{{roomId}}",
  messages: [{ id: "{{idempotencyKey}}", role: "user", parts }],
  trigger: "submit-message"
})
const loom = { src: "loom.png", type: "image/png" }
const unknownId = "01890000-0000-7000-8000-000000000000"

export const folders: ReadonlyArray<Folder> = [
  folder("1. Sign up and log in", "A mobile number, a one-time code, and the access token that the other requests need.", [
    call("Sign up", "signUp", 201, {
      before: "newUser",
      body: { ...mobile, name: "Ada Lovelace", email: "ada@example.com", password: "{{password}}" },
      save: { signupToken: "signupToken" }
    }),
    call("Send code", "sendOtp", 200, { body: mobile, save: saveCode }),
    call("Log in with code", "verifyOtp", 200, { body: { ...code, signupToken: "{{signupToken}}" }, save: saveTokens }),
    call("Get profile", "getMe", 200),
    call("Log in with password", "passwordLogin", [200, "404 not_found"], {
      about: "Off unless the server has `PASSWORD_LOGIN=true`.",
      body: { ...mobile, password: "{{password}}" }
    })
  ]),
  folder("2. Chatrooms", "Create, list, page, change and delete chatrooms.", [
    call("List the models", "listModels", 200),
    call("Create chatroom", "createChatroom", 201, { before: "newKey", headers: key, save: { roomId: "id" } }),
    call("Create chatroom: same idempotency key", "createChatroom", 201, { headers: key }),
    call("Create chatroom: all defaults", "createChatroom", 201, { body: {}, save: { secondRoomId: "id" } }),
    call("List chatrooms", "listChatrooms", 200, { save: { etag: "ETag" } }),
    call("List chatrooms: not modified", "listChatrooms", 304, { headers: { "If-None-Match": "{{etag}}" } }),
    call("List chatrooms: first page", "listChatrooms", 200, { query: { limit: "1" }, save: { cursor: "nextCursor" } }),
    call("List chatrooms: next page", "listChatrooms", 200, { query: { limit: "1", cursor: "{{cursor}}" } }),
    call("Update chatroom", "updateChatroom", 200),
    call("Update chatroom: read web pages", "updateChatroom", 200, { body: { tools: ["url"] } }),
    call("Get chatroom", "getChatroom", 200),
    call("Get latest exchange: empty chatroom", "getLatest", 200),
    call("Delete chatroom", "deleteChatroom", 204, { path: { id: "{{secondRoomId}}" } }),
    call("Get chatroom: deleted", "getChatroom", "404 chatroom_not_found", { path: { id: "{{secondRoomId}}" } })
  ]),
  folder("3. Messages and replies", "Get replies by polling, by waiting or as a stream; regenerate, cancel, search and export.", [
    call("Send message", "sendMessage", 202, { save: { replyId: "reply.id" } }),
    call("Get latest exchange: poll for the reply", "getLatest", 200, { until: { "reply.status": "completed" } }),
    call("Send message: wait for the reply", "sendMessage", 201, {
      before: "newKey",
      ...waitWithKey,
      save: { replyId: "reply.id" }
    }),
    call("Send message: same idempotency key", "sendMessage", 201, {
      about: "For a client that lost its connection: replays the message and its reply, and charges no prompt.",
      ...waitWithKey
    }),
    call("Get reply", "getMessage", 200),
    call("Stream reply", "streamMessage", 200, { after: "lastEvent" }),
    call("Stream reply: resume at the end", "streamMessage", 204, { headers: { "Last-Event-ID": "{{lastEventId}}" } }),
    call("Create stream ticket", "createStreamTicket", 201, { save: { ticket: "ticket" } }),
    call("Stream reply: with ticket, without token", "streamMessage", 200, { as: "none", query: { ticket: "{{ticket}}" } }),
    call("Stream reply: ticket used before", "streamMessage", "401 token_expired", {
      as: "none",
      query: { ticket: "{{ticket}}" }
    }),
    call("Get context of reply", "getMessageContext", 200),
    call("Send message: show the model's thoughts", "sendMessage", 201, {
      ...wait,
      body: { content: "How does a loom count? [[thoughts 3]]", settings: { thinking: { level: "low", summaries: true } } }
    }),
    call("List messages: with thoughts", "listMessages", 200, { query: { limit: "2", thoughts: "true" } }),
    call("List messages", "listMessages", 200, { query: { limit: "50" } }),
    call("Rate reply", "rateMessage", 200),
    call("Regenerate reply", "regenerateMessage", 202, { save: { replyId: "reply.id" } }),
    call("Get reply: wait until it is completed", "getMessage", 200, { query: { wait: "20" }, until: { status: "completed" } }),
    call("Cancel reply: already completed", "cancelMessage", "409 already_finished"),
    call("Send message: slow reply", "sendMessage", 202, {
      about: "The words in brackets make the Gemini simulator slow, so that there is time to cancel the reply.",
      body: { content: "Write a very long story. [[latency 20000]]" },
      save: { replyId: "reply.id" }
    }),
    call("Cancel reply", "cancelMessage", 200),
    call("Search messages", "search", 200, { query: { q: "engine" } }),
    call("Share chatroom by link", "createShare", 201, { after: "shareToken", save: { shareId: "id" } }),
    call("List shared links", "listShares", 200),
    call("Read shared conversation", "getShared", 200, { path: { token: "{{shareToken}}" } }),
    call("Read shared conversation: as a page", "getShared", 200, {
      path: { token: "{{shareToken}}" },
      headers: { Accept: "text/html" },
      media: "text/html"
    }),
    call("Download shared file: none", "getSharedFile", "404 file_not_found", {
      path: { token: "{{shareToken}}", message: "0", index: "0" }
    }),
    call("Copy shared conversation", "copyShare", 201, {
      path: { token: "{{shareToken}}" },
      before: "newKey",
      headers: key,
      save: { secondRoomId: "id" }
    }),
    call("Revoke shared link", "revokeShare", 204, { path: { id: "{{shareId}}" } }),
    call("Read shared conversation: revoked", "getShared", "404 share_not_found", { path: { token: "{{shareToken}}" } }),
    call("Export chatroom as JSON", "exportChatroom", 200),
    call("Export chatroom as Markdown", "exportChatroom", 200, { query: { format: "markdown" }, media: "text/markdown" }),
    call("Create export ticket: chatroom", "createChatroomExportTicket", 201, { save: { ticket: "ticket" } }),
    call("Export chatroom: with ticket, without token", "exportChatroom", 200, { as: "none", query: { ticket: "{{ticket}}" } }),
    call("List messages: active branch", "listMessages", 200, { query: { branch: "active" } }),
    call("Update chatroom: move to a branch", "updateChatroom", 200, { body: { headId: "{{replyId}}" } }),
    call("Import chatroom", "importChatroom", 201, { before: "newKey", headers: key, save: { secondRoomId: "id" } }),
    call("Get summary: none", "getSummary", "404 summary_not_found"),
    call("Delete summary", "deleteSummary", 204),
    call("Fork chatroom", "forkChatroom", 201, { before: "newKey", headers: key, body: {}, save: { secondRoomId: "id" } })
  ]),
  folder("4. Files", "Upload a picture, read it, and delete it.", [
    call("Upload file", "uploadFile", [201, 200], {
      about: "The body is the file `loom.png`, which lies beside the collection: Postman's working directory must have it.",
      query: { name: "loom.png" },
      file: loom,
      save: { fileId: "id" }
    }),
    call("Upload file: same bytes", "uploadFile", 200, { file: loom }),
    call("Upload file: not what it says", "uploadFile", "422 file_unreadable", {
      file: { ...loom, type: "application/pdf" }
    }),
    call("Upload file: type not supported", "uploadFile", "415 file_type_not_supported", {
      file: { ...loom, type: "image/gif" }
    }),
    call("List files", "listFiles", 200),
    call("Get file", "getFile", 200, { path: { id: "{{fileId}}" } }),
    call("Download file", "downloadFile", [200, 302], { path: { id: "{{fileId}}" } }),
    call("Create file ticket", "createFileTicket", 201, { path: { id: "{{fileId}}" }, save: { ticket: "ticket" } }),
    call("Download file: with ticket, without token", "downloadFile", [200, 302], {
      as: "none",
      path: { id: "{{fileId}}" },
      query: { ticket: "{{ticket}}" }
    }),
    call("Delete file", "deleteFile", 204, { path: { id: "{{fileId}}" } }),
    call("Get file: deleted", "getFile", "404 file_not_found", { path: { id: "{{fileId}}" } })
  ]),
  folder("5. Quota", "Basic has 5 prompts a UTC day. More are refused until midnight, or until the user subscribes.", [
    call("Get profile: today's quota", "getMe", 200, { save: { dailyLimit: "quota.limit" } }),
    call("Send message: until the quota is exceeded", "sendMessage", [201, "429 quota_exceeded"], {
      ...wait,
      until: { code: "quota_exceeded" }
    }),
    call("Get profile: refused prompt not charged", "getMe", 200, { until: { "quota.remaining": 0 } }),
    call("Get usage by day", "getUsage", 200)
  ]),
  folder("6. Subscription", "From Basic to Pro through Stripe's checkout.", [
    call("List plans", "listPlans", 200),
    call("Get subscription: Basic", "getSubscriptionStatus", 200),
    call("Subscribe to a plan: unknown plan", "subscribeTo", ["404 plan_not_found", "503 billing_unavailable"], {
      path: { plan: "gold" }
    }),
    call("Subscribe to Pro", "subscribe", [201, "503 billing_unavailable"], {
      about: "With `BILLING=off` the server answers 503, and the requests that need billing are skipped.",
      after: "billing",
      save: { checkoutUrl: "checkoutUrl", checkoutId: "sessionId" }
    }),
    {
      name: "Paid at the Stripe simulator",
      about: "Pay, wait for the webhooks, cancel and reactivate. Skipped where the checkout is not the Stripe simulator's.",
      before: "onlySimulator",
      requests: [
        call("Subscribe: checkout still open", "subscribe", 200),
        call("Pay at the checkout", "POST {{checkoutUrl}}", 303, {
          about:
            "Presses *Pay* on the checkout page of the Stripe simulator of `npm run dev`. For a checkout at Stripe, open `checkoutUrl` in a browser instead (test card 4242 4242 4242 4242).",
          headers: { "Content-Type": "application/x-www-form-urlencoded" },
          body: "action=pay&email=ada%40example.com"
        }),
        call("Get subscription: poll until Pro", "getSubscriptionStatus", 200, {
          until: { tier: "pro", status: "active" },
          after: "morePrompts"
        }),
        call("Return from checkout", "billingReturn", 200, { query: { session_id: "{{checkoutId}}" } }),
        call("Send message: quota of Pro", "sendMessage", 201, { ...wait, save: { questionId: "message.id" } }),
        call("Edit question", "editMessage", 201, {
          before: "newKey",
          ...waitWithKey,
          path: { id: "{{roomId}}", mid: "{{questionId}}" }
        }),
        call("Delete question", "deleteMessage", 204, { path: { id: "{{roomId}}", mid: "{{questionId}}" } }),
        call("Upload file: for a question", "uploadFile", [201, 200], {
          query: { name: "loom.png" },
          file: loom,
          save: { fileId: "id" }
        }),
        call("Send message: with a file", "sendMessage", 201, {
          ...wait,
          body: { content: "What is woven here?", attachments: ["{{fileId}}"] }
        }),
        call("Send message: search the web", "sendMessage", 201, {
          about: "The words in brackets make the Gemini simulator search.",
          ...wait,
          body: { content: "Who wove with looms? [[search history of looms]]", settings: { tools: ["search"] } }
        }),
        {
          name: "OpenAI's API",
          about: "The routes that OpenAI's clients use. An API key works as well as the access token.",
          requests: [
            call("List models for OpenAI's clients", "listOpenAiModels", 200),
            call("Get model for OpenAI's clients", "getOpenAiModel", 200, { path: { id: "gemini-3.8-flash" } }),
            call("Get model: unknown", "getOpenAiModel", "404 model_not_found", { path: { id: "gpt-5" } }),
            call("Create chat completion", "createChatCompletion", 200, { media: "application/json" }),
            call("Create chat completion: streamed", "createChatCompletion", 200, {
              media: "text/event-stream",
              body: {
                model: "gemini-3.8-flash",
                messages: [{ role: "user", content: "And in one sentence?" }],
                stream: true,
                stream_options: { include_usage: true }
              }
            }),
            call("Create chat completion: tools", "createChatCompletion", "400 unsupported_parameter", {
              body: {
                model: "gemini-3.8-flash",
                messages: [{ role: "user", content: "What is the weather?" }],
                tools: [{ type: "function", function: { name: "weather" } }]
              }
            })
          ]
        },
        call("Subscribe: already subscribed", "subscribe", "409 already_subscribed"),
        call("Open customer portal", "openPortal", 201),
        call("List invoices", "listInvoices", 200),
        call("Cancel subscription", "cancelSubscription", 200),
        call("Subscribe: cancellation pending", "subscribe", "409 pending_cancellation"),
        call("Reactivate subscription", "reactivateSubscription", 200)
      ]
    }
  ]),
  folder("7. AI SDK", "What `useChat` of Vercel's AI SDK sends: a question, the messages of a chat, its running reply.", [
    call("Ask with the AI SDK", "sendUiMessage", [200, "429 quota_exceeded"], {
      about: "The id of the question is its idempotency key. 429 where nothing was paid before.",
      before: "newKey",
      body: uiRequest([{ type: "text", text: "What does a loom weave?" }])
    }),
    call("Ask with the AI SDK: same question", "sendUiMessage", [200, "429 quota_exceeded"], {
      body: uiRequest([{ type: "text", text: "What does a loom weave?" }])
    }),
    call("Get a chat for the AI SDK", "getUiMessages", 200),
    call("Resume with the AI SDK: nothing runs", "resumeUiStream", 204),
    call("Stop a reply with the AI SDK: already ended", "stopUiStream", "409 already_finished"),
    call("Ask with the AI SDK: neither text nor file", "sendUiMessage", "400 validation_failed", {
      body: uiRequest([{ type: "reasoning", text: "Hm." }])
    })
  ]),
  folder("8. Webhook", "What Stripe sends, signed in its own scheme with the variable `webhookSecret`.", [
    call("Stripe event: signed", "stripeWebhook", 200, stripeEvent("new")),
    call("Stripe event: delivered again", "stripeWebhook", 200, stripeEvent("repeated")),
    call("Stripe event: changed", "stripeWebhook", "400 signature_invalid", stripeEvent("changed")),
    call("Stripe event: signed ten minutes ago", "stripeWebhook", "400 signature_invalid", stripeEvent("old")),
    call("Stripe event: unsigned", "stripeWebhook", "400 signature_invalid", stripeEvent("unsigned"))
  ]),
  folder(
    "9. Profile, sessions and password",
    "The user's data, devices, a changed and a forgotten password, and the deletion of the account.",
    [
      call("Update profile", "updateMe", 200, { body: { name: "Ada King", email: null } }),
      call("Export my data", "exportMe", 200),
      call("Create export ticket: account", "createExportTicket", 201, { save: { ticket: "ticket" } }),
      call("Export my data: with ticket, without token", "exportMe", 200, { as: "none", query: { ticket: "{{ticket}}" } }),
      call("Send code: second device", "sendOtp", 200, { body: mobile, save: saveCode }),
      call("Log in with code: second device", "verifyOtp", 200, { body: code, save: { secondToken: "token" } }),
      call("List sessions: second device", "listSessions", 200, { as: "secondToken", save: { secondSessionId: "data.0.id" } }),
      call("Revoke session: second device", "revokeSession", 204, { path: { id: "{{secondSessionId}}" } }),
      call("Get profile: session revoked", "getMe", "401 session_revoked", { as: "secondToken" }),
      call("Refresh token", "refresh", 200, { body: { refreshToken: "{{refreshToken}}" }, save: saveTokens }),
      call("Create API key", "createApiKey", 201, {
        before: "newKey",
        headers: key,
        save: { apiKey: "key", apiKeyId: "id" }
      }),
      call("List models: with the API key", "listModels", 200, { as: "apiKey" }),
      call("Get profile: with the API key", "getMe", "403 key_not_allowed", { as: "apiKey" }),
      call("List API keys", "listApiKeys", 200),
      call("Delete API key", "deleteApiKey", 204, { path: { id: "{{apiKeyId}}" } }),
      call("List models: API key deleted", "listModels", "401 token_invalid", { as: "apiKey" }),
      call("Change password", "changePassword", 204, { body: { currentPassword: "{{password}}", newPassword } }),
      call("Change password: same as before", "changePassword", "422 same_password", {
        body: { currentPassword: newPassword, newPassword }
      }),
      call("Forgot password", "forgotPassword", 200, { body: mobile, save: saveCode }),
      call("Reset password: too weak", "resetPassword", "422 weak_password", { body: { ...code, newPassword: "password" } }),
      call("Reset password", "resetPassword", 204, { body: { ...code, newPassword: "{{password}}" } }),
      call("Get profile: after the reset", "getMe", "401 session_revoked"),
      call("Send code: after the reset", "sendOtp", 200, { body: mobile, save: saveCode }),
      call("Log in with code: after the reset", "verifyOtp", 200, { body: code, save: saveTokens }),
      call("Log out: other sessions", "logout", 204, { body: { scope: "others" } }),
      call("List sessions: one left", "listSessions", 200),
      call("Delete account", "deleteMe", 204),
      call("Get profile: account deleted", "getMe", "401 session_revoked")
    ]
  ),
  folder("10. Errors", "Every error is `application/problem+json` with a stable `code` and a `requestId`.", [
    call("Send code: new user", "sendOtp", 200, { before: "newUser", body: mobile, save: saveCode }),
    call("Send code: too soon", "sendOtp", "429 otp_cooldown", { body: mobile }),
    call("Log in with code: wrong code", "verifyOtp", "400 otp_invalid", {
      before: "wrongCode",
      body: { ...code, otp: "{{wrongOtp}}" }
    }),
    call("Log in with code: new user", "verifyOtp", 200, { body: code, save: saveTokens }),
    call("Log in with code: used code", "verifyOtp", "400 otp_invalid", { body: code }),
    call("Sign up: number taken", "signUp", "409 phone_taken", { body: mobile }),
    call("Sign up: invalid number", "signUp", "400 validation_failed", { body: { mobile: "12345" } }),
    call("Change password: too weak", "changePassword", "422 weak_password", { body: { newPassword: "password" } }),
    call("Refresh token: invalid", "refresh", "401 refresh_invalid", { body: { refreshToken: "none" } }),
    call("Get profile: no token", "getMe", "401 unauthenticated", { as: "none" }),
    call("Get profile: forged token", "getMe", "401 token_invalid", {
      as: "none",
      headers: { Authorization: "Bearer eyJhbGciOiJub25lIn0.e30." }
    }),
    call("Create chatroom: malformed JSON", "createChatroom", "400 bad_json", { body: '{"title": "The sky' }),
    call("Create chatroom: not JSON", "createChatroom", "415 unsupported_media_type", {
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: "title=The+sky"
    }),
    call("Create chatroom: invalid values", "createChatroom", "400 validation_failed", { body: { title: "", temperature: 3 } }),
    call("Create chatroom: too large", "createChatroom", "413 payload_too_large", {
      before: "tooLong",
      body: { title: "{{tooLong}}" }
    }),
    call("List chatrooms: invalid limit", "listChatrooms", "400 validation_failed", { query: { limit: "0" } }),
    call("List chatrooms: forged cursor", "listChatrooms", "400 validation_failed", { query: { cursor: "bm9uZQ" } }),
    call("Create chatroom: new user", "createChatroom", 201, { before: "newKey", headers: key, save: { roomId: "id" } }),
    call("Create chatroom: idempotency key reused", "createChatroom", "422 idempotency_key_reused", {
      headers: key,
      body: { title: "Another" }
    }),
    call("Send message: empty", "sendMessage", "400 validation_failed", { body: { content: "" } }),
    call("Get chatroom: unknown", "getChatroom", "404 chatroom_not_found", { path: { id: unknownId } }),
    call("Get chatroom: invalid id", "getChatroom", "400 validation_failed", { path: { id: "none" } }),
    call("Stream reply: unknown message", "streamMessage", "404 message_not_found", {
      path: { id: "{{roomId}}", mid: unknownId }
    }),
    call("Revoke session: unknown", "revokeSession", "404 session_not_found", { path: { id: unknownId } }),
    call("Cancel subscription: none", "cancelSubscription", "404 no_subscription"),
    call("Reactivate subscription: none", "reactivateSubscription", "409 not_cancelling"),
    call("Open customer portal: no customer", "openPortal", "404 no_customer"),
    call("Return from checkout: unknown", "billingReturn", "404 checkout_not_found", { query: { session_id: "cs_test_none" } }),
    call("Unknown route", "GET /nothing/here", "404 not_found", { about: "Unknown routes have the same error format." }),
    call("Unsupported method", "PUT /chatroom", "405 method_not_allowed", {
      about: "`Allow` lists the supported methods.",
      body: {}
    }),
    call("Send code: another user", "sendOtp", 200, { before: "newUser", body: mobile, save: saveCode }),
    call("Log in with code: another user", "verifyOtp", 200, { body: code, save: { secondToken: "token" } }),
    call("Get chatroom: another user's", "getChatroom", "404 chatroom_not_found", {
      about: "404 rather than 403, which would tell that the chatroom exists.",
      as: "secondToken"
    }),
    call("Send message: another user's chatroom", "sendMessage", "404 chatroom_not_found", { as: "secondToken" }),
    call("Log out", "logout", 204, { as: "secondToken", body: {} }),
    call("Get profile: logged out", "getMe", "401 session_revoked", { as: "secondToken" }),
    call("Delete account: new user", "deleteMe", 204)
  ]),
  folder("11. Health and operations", "The last four need the variable `adminToken`; while it is empty they must be refused.", [
    call("Health", "getHealth", 200),
    call("Readiness", "getReadiness", 200),
    call("Usage of the model by all users", "getUsageReport", [200, "401 unauthenticated", "404 not_found"], {
      before: "operator"
    }),
    call("Feedback of all users", "listFeedback", [200, "401 unauthenticated", "404 not_found"], { before: "operator" }),
    call("Queue", "getQueue", [200, "401 unauthenticated", "404 not_found"], { before: "operator" }),
    call("Metrics", "getMetrics", [200, "401 unauthenticated", "404 not_found"], { before: "operator" })
  ])
]

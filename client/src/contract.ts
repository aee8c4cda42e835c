// Generated from the API's definition by `npm run generate`.

/** Text, or JSON that is parsed into the message's `output`. */
export interface AnswerFormat {
  readonly type: "text" | "json"
  /** A JSON Schema (2020-12) that the answer fits, with `object` or `array` at the root: at most 16 KiB, 10 nested schemas, and 900 as the sum of `maxItems`. Keywords: $id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum maximum anyOf oneOf properties additionalProperties required propertyOrdering. */
  readonly schema?: Readonly<Record<string, unknown>>
}

/** An API key, without the key itself. */
export interface ApiKey {
  readonly id: string
  readonly name: string
  /** The key's last four characters. */
  readonly last4: string
  readonly createdAt: string
  /** Null: until it is deleted. */
  readonly expiresAt: string | null
  /** The hour of its last use; null: never used. */
  readonly lastUsedAt: string | null
}

/** A page of a list. */
export interface ApiKeyPage {
  readonly data: ReadonlyArray<ApiKey>
  readonly hasMore: boolean
  /** Null on the last page. */
  readonly nextCursor: string | null
}

/** Settings of this reply alone; an omitted one is the room's. Unknown ones are ignored. */
export interface AskSettings {
  /** Null: the server's default model. */
  readonly model?: string | null
  /** Null: the model's default. */
  readonly temperature?: number | null
  /** `search` lets the model search with Google, `url` lets it read web pages whose addresses are in the conversation. */
  readonly tools?: ReadonlyArray<"search" | "url">
  /** Instructions for the model, sent with every question. */
  readonly systemPrompt?: string | null
  /** Tokens that the answer may have, thoughts included; at most those of the model for the user's tier and its level of thinking. */
  readonly maxOutputTokens?: number
  readonly thinking?: ThinkingInput
  readonly responseFormat?: AnswerFormat
}

/** A file of a question. */
export interface Attachment {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly bytes: number
  /** Whether the file has been deleted. */
  readonly deleted: boolean
}

/** Money of the current UTC day, in millionths of a US dollar. */
export interface Budget {
  readonly limitMicros: number
  readonly spentMicros: number
  /** What the unfinished replies may cost. */
  readonly reservedMicros: number
  readonly resetsAt: string
}

export interface CancelledData extends Message {
  readonly type: "cancelled"
}

export interface ChangePassword {
  /** 8 to 128 characters, not a common password, and without the user's number, name or e-mail; otherwise 422 `weak_password`. */
  readonly currentPassword?: string
  /** 8 to 128 characters, not a common password, and without the user's number, name or e-mail; otherwise 422 `weak_password`. */
  readonly newPassword: string
}

/** A chatroom. */
export interface Chatroom {
  readonly id: string
  readonly title: string
  /** Where the title comes from: `default` is the title of a room without a question, `words` the first words of the first question, `model` a model, `user` the user. */
  readonly titleSource: "default" | "words" | "model" | "user"
  readonly systemPrompt: string | null
  /** Null: the server's default model. */
  readonly model: string | null
  readonly temperature: number | null
  readonly thinking: Thinking
  readonly tools: ReadonlyArray<"search" | "url">
  /** Whether messages that no longer fit into a prompt are summarised. Null: the server's default (`ROOM_SUMMARIES`). */
  readonly summary: boolean | null
  /** The head: the last message of the active branch. Null until the first question. */
  readonly headId: string | null
  readonly pinned: boolean
  /** Null unless archived. */
  readonly archivedAt: string | null
  /** Null until the first question. */
  readonly lastMessageAt: string | null
  readonly createdAt: string
  readonly updatedAt: string
}

/** A chatroom with its messages. */
export interface ChatroomExport extends Chatroom {
  /** The messages of the active branch, or of all branches; oldest first. */
  readonly messages: ReadonlyArray<Message>
}

/** A page of a list. */
export interface ChatroomPage {
  readonly data: ReadonlyArray<Chatroom>
  readonly hasMore: boolean
  /** Null on the last page. */
  readonly nextCursor: string | null
}

/** A chatroom with its last messages. */
export interface ChatroomWithMessages extends Chatroom {
  /** The last 50, oldest first; fewer when they have more than 1 MiB of text. */
  readonly messages: ReadonlyArray<Message>
}

/** An open checkout: a new one with 201, the one that was open with 200. */
export interface Checkout {
  /** The page at Stripe to send the user to. */
  readonly checkoutUrl: string
  /** The id of the checkout session at Stripe. */
  readonly sessionId: string
  readonly expiresAt: string
}

/** A part of the text, and the sources that support it. */
export interface Citation {
  /** Where the cited text begins in `content`, in UTF-16 units. */
  readonly start: number
  /** Where it ends: `content.slice(start, end)` is the cited text. */
  readonly end: number
  /** Indices into `sources`. */
  readonly sources: ReadonlyArray<number>
}

export interface CompletedData extends Message {
  readonly type: "completed"
}

/** The messages that the prompt included, and those it left out, with the reason. Token counts of messages are estimates. */
export interface ContextReceipt {
  readonly included: ReadonlyArray<IncludedMessage>
  readonly dropped: ReadonlyArray<DroppedMessage>
  /** Files of the included messages. One is omitted, and named in its place, when it was deleted, does not fit, or is of a type that the model does not read. */
  readonly attachments: ReadonlyArray<IncludedAttachment>
  /** The summary that the system instruction ended with; null without. Its room's first question is among `included`. */
  readonly summary: PromptSummary | null
  readonly systemPrompt: string | null
  /** Counted by the model; until then, an estimate. */
  readonly promptTokens: number
  readonly model: string
  readonly settings: ReplySettings
}

export interface CreateApiKey {
  readonly name: string
  /** Seconds until the key ends; null or absent: it ends when it is deleted. */
  readonly expiresIn?: number | null
}

export interface CreateChatroom {
  readonly title?: string
  /** Instructions for the model, sent with every question. */
  readonly systemPrompt?: string | null
  /** Null: the server's default model. */
  readonly model?: string | null
  /** Null: the model's default. */
  readonly temperature?: number | null
  readonly thinking?: ThinkingInput
  /** `search` lets the model search with Google, `url` lets it read web pages whose addresses are in the conversation. */
  readonly tools?: ReadonlyArray<"search" | "url">
  /** Whether messages that no longer fit into a prompt are summarised. Null: the server's default (`ROOM_SUMMARIES`). */
  readonly summary?: boolean | null
}

export interface CreateShare {
  /** Seconds until the link ends; null or absent: it ends when it is revoked. */
  readonly expiresIn?: number | null
  readonly upTo?: string
  /** By default the room's title at this moment. */
  readonly title?: string
  /** Whether the link shows the files of its questions, which anyone with the link can download. */
  readonly attachments?: boolean
}

/** A UTC day with at least one prompt. */
export interface DayOfUsage extends Usage {
  readonly day: string
  readonly prompts: number
  readonly searches: number
  /** In millionths of a US dollar. */
  readonly costMicros: number
}

export interface DeltaData {
  readonly type: "delta"
  readonly text: string
}

/** The reduction of each invoice: a percentage or an amount. */
export interface Discount {
  readonly name: string | null
  /** The promotion code; null when it was given without one. */
  readonly code: string | null
  readonly percentOff: number | null
  /** In minor units of `currency`. */
  readonly amountOff: number | null
  readonly currency: string | null
  /** Null when it does not end. */
  readonly endsAt: string | null
}

export interface DroppedMessage {
  readonly id: string
  /** `summarised`: the summary covers it. `other_branch`: it is on another branch of the room; the newest 200 of these are listed. */
  readonly reason: "budget" | "summarised" | "unanswered" | "failed" | "cancelled" | "superseded" | "unfinished" | "other_branch"
}

export interface EditMessage {
  readonly content: string
  readonly settings?: AskSettings
}

/** The question, its reply, and today's quota. */
export interface Exchange {
  readonly message: Message
  readonly reply: Message
  readonly quota: Quota
}

/** An API key, without the key itself. */
export interface ExportedApiKey {
  readonly id: string
  readonly name: string
  /** The key's last four characters. */
  readonly last4: string
  readonly createdAt: string
  /** Null: until it is deleted. */
  readonly expiresAt: string | null
  /** The hour of its last use; null: never used. */
  readonly lastUsedAt: string | null
}

export interface ExportedEvent {
  readonly kind:
    | "login"
    | "recovery"
    | "password_login"
    | "refresh_reused"
    | "logout"
    | "session_revoked"
    | "password_changed"
    | "password_reset"
    | "profile_changed"
  readonly sessionId: string | null
  readonly address: string | null
  readonly userAgent: string | null
  readonly at: string
}

export interface ExportedFile {
  readonly id: string
  readonly name: string
  /** The media type; the bytes were checked against it. */
  readonly type: string
  readonly bytes: number
  /** In hexadecimal. */
  readonly sha256: string
  readonly createdAt: string
  /** The path of its bytes. */
  readonly content: string
}

export interface ExportedProfile {
  readonly id: string
  /** In E.164: `+` and digits. */
  readonly mobile: string
  readonly name: string | null
  readonly email: string | null
  /** `basic`, or the id of a plan: `pro` unless the server sells other plans (`GET /plans`). */
  readonly tier: string
  readonly createdAt: string
}

export interface ExportedSession {
  readonly id: string
  readonly userAgent: string | null
  readonly createdAt: string
  readonly lastUsedAt: string
  readonly revokedAt: string | null
}

export interface ExportedShare extends Share {
  readonly revokedAt: string | null
}

export interface ExportedSubscription {
  readonly id: string
  readonly plan: string | null
  readonly status: string
  readonly trialEnd: string | null
  readonly currentPeriodStart: string | null
  readonly currentPeriodEnd: string | null
  readonly cancelAt: string | null
  readonly createdAt: string
}

export interface ExportedSummary extends RoomSummary {
  readonly chatroomId: string
}

export interface FailedData extends Message {
  readonly type: "failed"
}

/** The user's rating of a reply. */
export interface Feedback {
  readonly rating: "up" | "down"
  readonly reasons: ReadonlyArray<string>
  readonly comment: string | null
}

/** A file that questions can have. */
export interface File {
  readonly id: string
  readonly name: string
  /** The media type; the bytes were checked against it. */
  readonly type: string
  readonly bytes: number
  /** In hexadecimal. */
  readonly sha256: string
  /** Estimated tokens in a prompt. */
  readonly tokens: number
  /** Pixels of an image. */
  readonly width: number | null
  /** Pixels of an image. */
  readonly height: number | null
  /** Pages of a PDF; null when they cannot be counted. */
  readonly pages: number | null
  readonly createdAt: string
  /** When it is deleted, unless a question uses it before; null once one does. */
  readonly expiresAt: string | null
}

/** A page of a list. */
export interface FilePage {
  readonly data: ReadonlyArray<File>
  readonly hasMore: boolean
  /** Null on the last page. */
  readonly nextCursor: string | null
}

export interface ForkChatroom {
  readonly messageId?: string
  readonly title?: string
}

/** A message that matches the search. */
export interface FoundMessage extends Message {
  /** The match with some text around it. */
  readonly snippet: string
}

/** A page of a list. */
export interface FoundMessagePage {
  readonly data: ReadonlyArray<FoundMessage>
  readonly hasMore: boolean
  /** Null on the last page. */
  readonly nextCursor: string | null
}

export interface GiveFeedback {
  /** Null removes the feedback. */
  readonly rating: "up" | "down" | null
  /** The client's own names of reasons. */
  readonly reasons?: ReadonlyArray<string>
  readonly comment?: string
}

/** The process is up. */
export interface Health {
  readonly status: "ok"
}

/** A chatroom as it was exported. */
export interface ImportChatroom {
  readonly title: string
  /** Where the title comes from: `default` is the title of a room without a question, `words` the first words of the first question, `model` a model, `user` the user. */
  readonly titleSource?: "default" | "words" | "model" | "user"
  /** Instructions for the model, sent with every question. */
  readonly systemPrompt?: string | null
  /** Null: the server's default model. */
  readonly model?: string | null
  /** Null: the model's default. */
  readonly temperature?: number | null
  readonly thinking?: ThinkingInput
  /** `search` lets the model search with Google, `url` lets it read web pages whose addresses are in the conversation. */
  readonly tools?: ReadonlyArray<"search" | "url">
  /** Whether messages that no longer fit into a prompt are summarised. Null: the server's default (`ROOM_SUMMARIES`). */
  readonly summary?: boolean | null
  /** The message on which the room stands; by default the last one. */
  readonly headId?: string | null
  /** Each after the messages that it names: oldest first. */
  readonly messages: ReadonlyArray<ImportedMessage>
}

/** The new room. */
export interface ImportedChatroom {
  readonly id: string
  readonly title: string
  /** Where the title comes from: `default` is the title of a room without a question, `words` the first words of the first question, `model` a model, `user` the user. */
  readonly titleSource: "default" | "words" | "model" | "user"
  readonly systemPrompt: string | null
  /** Null: the server's default model. */
  readonly model: string | null
  readonly temperature: number | null
  readonly thinking: Thinking
  readonly tools: ReadonlyArray<"search" | "url">
  /** Whether messages that no longer fit into a prompt are summarised. Null: the server's default (`ROOM_SUMMARIES`). */
  readonly summary: boolean | null
  /** The head: the last message of the active branch. Null until the first question. */
  readonly headId: string | null
  readonly pinned: boolean
  /** Null unless archived. */
  readonly archivedAt: string | null
  /** Null until the first question. */
  readonly lastMessageAt: string | null
  readonly createdAt: string
  readonly updatedAt: string
}

export interface ImportedMessage {
  readonly id: string
  readonly role: "user" | "model"
  readonly content: string
  readonly status?: "queued" | "processing" | "waiting" | "completed" | "failed" | "cancelled"
  readonly replyTo?: string | null
  /** Of a question: the reply that it follows. When it is omitted, the newest completed reply before it. */
  readonly parentId?: string | null
  readonly finishReason?: string | null
  readonly truncated?: boolean
  readonly error?: {
    readonly code:
      | "model_unavailable"
      | "model_quota_exhausted"
      | "model_misconfigured"
      | "empty_response"
      | "max_tokens"
      | "model_stopped"
      | "budget_exceeded"
      | "invalid_output"
      | "schema_rejected"
      | "attachment_rejected"
      | "moderation_unavailable"
      | "blocked"
    readonly message: string
    readonly reason?: string
    readonly about?: "question" | "answer"
    readonly categories?: ReadonlyArray<string>
  } | null
  readonly model?: string | null
  readonly output?: unknown
  readonly thoughts?: string | null
  readonly sources?: ReadonlyArray<{ readonly url: string; readonly title: string; readonly domain: string | null }>
  readonly citations?: ReadonlyArray<{ readonly start: number; readonly end: number; readonly sources: ReadonlyArray<number> }>
  readonly searches?: ReadonlyArray<string>
  readonly urls?: ReadonlyArray<{ readonly url: string; readonly status: "success" | "error" | "paywall" | "unsafe" }>
  readonly attachments?: ReadonlyArray<{
    readonly id: string
    readonly name: string
    readonly type: string
    readonly bytes: number
    readonly deleted: boolean
  }>
  readonly createdAt: string
  readonly completedAt?: string | null
}

export interface IncludedAttachment {
  readonly id: string
  readonly messageId: string
  readonly name: string
  readonly type: string
  readonly tokens: number
  readonly status: "sent" | "omitted"
}

export interface IncludedMessage {
  readonly id: string
  readonly role: "user" | "model"
  readonly tokens: number
}

/** An invoice of the user's. */
export interface Invoice {
  /** The id of the invoice at Stripe. */
  readonly id: string
  /** Null while it is a draft. */
  readonly number: string | null
  /** `draft`, `open`, `paid`, `uncollectible` or `void`. */
  readonly status: string
  /** In minor units, tax and discounts included; negative for a credit. */
  readonly total: number
  /** The tax in it. */
  readonly tax: number
  readonly currency: string
  readonly createdAt: string
  readonly paidAt: string | null
  /** The page at Stripe that shows the invoice and takes the payment of an open one. */
  readonly url: string | null
  readonly pdfUrl: string | null
}

/** A page of a list. */
export interface InvoicePage {
  readonly data: ReadonlyArray<Invoice>
  readonly hasMore: boolean
  /** Null on the last page. */
  readonly nextCursor: string | null
}

/** The newest question and its reply; both are null in an empty room. */
export interface Latest {
  readonly message: Message | null
  readonly reply: Message | null
}

/** Quota of the current UTC day. */
export interface Limits {
  /** Prompts per UTC day; null means unlimited. */
  readonly daily: number | null
  readonly used: number
  /** Null means unlimited. */
  readonly remaining: number | null
  readonly resetsAt: string
}

/** Tokens of a new session, and its user. */
export interface Login extends Tokens {
  readonly isNewUser: boolean
  readonly user: User
}

export interface Logout {
  readonly scope?: "local" | "others" | "global"
}

/** The logged-in user. */
export interface Me extends ExportedProfile {
  /** `pending` until a code confirms the number. */
  readonly status: "pending" | "active"
  readonly hasPassword: boolean
  readonly quota: Quota
  readonly budget: Budget | null
}

/** A question, or a model's reply to one. */
export interface Message {
  readonly id: string
  readonly chatroomId: string
  readonly role: "user" | "model"
  /** The text of the question, or the text of the reply so far. */
  readonly content: string
  /** Always `completed` for a question. */
  readonly status: "queued" | "processing" | "waiting" | "completed" | "failed" | "cancelled"
  /** The question that the reply answers. */
  readonly replyTo: string | null
  /** The message before it on its branch: for a question the reply that it follows (null for a first question), for a reply its question. */
  readonly parentId: string | null
  readonly versions: Versions
  /** The newer reply to the same question. */
  readonly supersededBy: string | null
  /** The attempt that wrote the content; 0 before the first attempt. */
  readonly attempt: number
  /** Gemini's finish reason. */
  readonly finishReason: string | null
  /** Whether the end of the text is missing: the model ran out of tokens, or the text reached the limit of 1 MiB in UTF-8. */
  readonly truncated: boolean
  /** Why the reply failed. */
  readonly error: ReplyError | null
  /** The model that wrote the reply. */
  readonly model: string | null
  readonly usage: Usage | null
  /** What the reply's calls of the model cost, in millionths of a US dollar; null until a priced call has ended. */
  readonly costMicros: number | null
  readonly output: unknown
  /** The user's rating of the reply. */
  readonly feedback: Feedback | null
  /** The web pages that the reply relies on. */
  readonly sources: ReadonlyArray<Source>
  /** Which parts of the text rely on which sources, in their order. */
  readonly citations: ReadonlyArray<Citation>
  /** What was searched for with Google. */
  readonly searches: ReadonlyArray<string>
  /** Google's search suggestions, as HTML with its own style. Google's terms require that a client which shows the reply shows them with it, unchanged. */
  readonly searchSuggestions: string | null
  /** The addresses that were read. */
  readonly urls: ReadonlyArray<ReadUrl>
  /** Tools of the settings that were not used, because the day's searches were used up or the model does not have the tool. */
  readonly toolsSkipped: ReadonlyArray<"search" | "url">
  /** The files of the question. */
  readonly attachments: ReadonlyArray<Attachment>
  /** The model's summaries of its thoughts, once the reply has ended; null unless `thinking.summaries` is set. At most 64 KiB in UTF-8; longer ones are cut and end with `…`. Lists omit them, unless `?thoughts=true` asks for them. */
  readonly thoughts?: string | null
  readonly createdAt: string
  readonly completedAt: string | null
}

/** A page of a list. */
export interface MessagePage {
  readonly data: ReadonlyArray<Message>
  readonly hasMore: boolean
  /** Null on the last page. */
  readonly nextCursor: string | null
}

/** A model that answers questions. */
export interface Model {
  /** The value of `model` of a chatroom. */
  readonly id: string
  readonly name: string
  /** Whether it answers in rooms that choose no model. */
  readonly default: boolean
  /** Whether the user may choose it now. */
  readonly available: boolean
  /** The lowest tier that has it. */
  readonly requiredTier: string
  /** The levels of thinking that the user's tier may choose, and the default; null when thinking cannot be set. */
  readonly thinking: {
    readonly levels: ReadonlyArray<"minimal" | "low" | "medium" | "high">
    readonly default: "minimal" | "low" | "medium" | "high" | null
  } | null
  /** The tools that it has for the user's tier. */
  readonly tools: ReadonlyArray<"search" | "url">
  readonly input: ReadonlyArray<"text" | "image" | "pdf" | "audio">
  /** Whether it can answer in JSON (`responseFormat`). */
  readonly json: boolean
  /** Tokens of an answer for the user's tier, thoughts included; more at a level of thinking above the default. */
  readonly maxOutputTokens: number
  /** Tokens of a prompt for the user's tier. */
  readonly contextTokens: number
  /** Today's price; null when it is not known. */
  readonly price: {
    readonly input: number
    readonly output: number
    readonly currency: "USD"
    readonly perTokens: 1000000
  } | null
  /** The UTC day from which its replacement answers. */
  readonly retiresAt: string | null
  /** The model that answers from then on. */
  readonly replacement: string | null
}

/** The server's models. */
export interface ModelList {
  readonly data: ReadonlyArray<Model>
}

/** A new API key. */
export interface NewApiKey {
  readonly id: string
  readonly name: string
  /** The key's last four characters. */
  readonly last4: string
  readonly createdAt: string
  /** Null: until it is deleted. */
  readonly expiresAt: string | null
  /** The key. It is shown only here: the server stores a hash of it. */
  readonly key: string
}

/** A new shared link. */
export interface NewShare {
  readonly id: string
  readonly title: string
  readonly createdAt: string
  /** Null: until it is revoked. */
  readonly expiresAt: string | null
  /** Whether it shows the files of its questions. */
  readonly attachments: boolean
  /** The link. It is shown only here: the server stores a hash of its token. */
  readonly url: string
  /** Messages that the link shows. */
  readonly messages: number
}

export interface NewUser {
  /** A mobile number with its country code. Spaces, dashes, dots, brackets and invisible format characters are allowed. A server with `DEFAULT_REGION` also takes national numbers of that country. */
  readonly mobile: string
  readonly name?: string
  readonly email?: string
  /** 8 to 128 characters, not a common password, and without the user's number, name or e-mail; otherwise 422 `weak_password`. */
  readonly password?: string
}

/** The code was created. */
export interface OtpChallenge {
  readonly challengeId: string
  /** Seconds until the code expires. */
  readonly expiresIn: number
  /** Seconds until another code can be requested. */
  readonly resendAfter: number
  /** The code; only with OTP_DELIVERY=response. */
  readonly otp?: string
}

export interface PasswordLogin {
  /** A mobile number with its country code. Spaces, dashes, dots, brackets and invisible format characters are allowed. A server with `DEFAULT_REGION` also takes national numbers of that country. */
  readonly mobile: string
  /** 8 to 128 characters, not a common password, and without the user's number, name or e-mail; otherwise 422 `weak_password`. */
  readonly password: string
}

/** A plan with its prices and limits. */
export interface Plan {
  /** `basic`, or the `plan` of `POST /subscribe/{plan}`. */
  readonly id: string
  readonly name: string
  /** Empty for Basic, which costs nothing. */
  readonly prices: ReadonlyArray<PlanPrice>
  readonly limits: PlanLimits
  /** The ids of the models that it has now. */
  readonly models: ReadonlyArray<string>
  /** The tools that any of its models has. */
  readonly tools: ReadonlyArray<"search" | "url">
  /** Free days, for a number that never had a trial. */
  readonly trialDays: number
}

export interface PlanLimits {
  /** Prompts per UTC day; null means unlimited. */
  readonly dailyPrompts: number | null
  /** Millionths of a US dollar that a user may cost per UTC day; null means no budget. */
  readonly dailyBudgetMicros: number | null
  /** Google searches per UTC day. */
  readonly dailySearches: number
  /** Replies that are made at the same time. */
  readonly concurrency: number
  /** Bytes of all files together. */
  readonly storageBytes: number
}

/** Basic, and the plans that are sold, from the lowest to the highest. */
export interface PlanList {
  readonly data: ReadonlyArray<Plan>
}

export interface PlanPrice {
  /** How often it is paid: `month` or `year`. */
  readonly interval: string
  /** In minor units of the currency; null when the price has no single amount. */
  readonly amount: number | null
  readonly currency: string
  /** Whether tax is added to the amount (`exclusive`), included in it (`inclusive`), or not specified (`unspecified`). */
  readonly taxBehavior: string
}

/** A session of Stripe's customer portal. */
export interface Portal {
  /** The page at Stripe to send the user to. */
  readonly url: string
}

export interface PromptSummary {
  readonly upTo: string
  /** An estimate. */
  readonly tokens: number
  readonly text: string
}

/** Prompts of the current UTC day. */
export interface Quota {
  /** Null when unlimited. */
  readonly limit: number | null
  readonly used: number
  /** Null when unlimited. */
  readonly remaining: number | null
  readonly resetsAt: string
  /** Null when the tier has no budget. */
  readonly budget: Budget | null
}

/** An address that Google read, or tried to read, for the reply. */
export interface ReadUrl {
  readonly url: string
  readonly status: "success" | "error" | "paywall" | "unsafe"
}

/** Ready; `degraded` when the default model is retired or retires within thirty days (`model` is `retiring`), or the settings of billing do not fit Stripe's account (`billing` is `failed`). */
export interface Readiness {
  readonly status: "ready" | "degraded"
  /** The state of everything that the process needs. */
  readonly checks: Readonly<Record<string, "ok" | "failed" | "draining" | "retiring">>
}

export interface Refresh {
  /** Required, except with `X-Refresh-Token: cookie`, where it must be absent. */
  readonly refreshToken?: string
}

export interface RegenerateMessage {
  readonly settings?: AskSettings
}

export interface ReplaceData {
  readonly type: "replace"
  readonly text: string
}

/** Why the reply failed; `message` is for people. With the code `blocked`, `reason`, `about` and `categories` say what was refused. */
export interface ReplyError {
  readonly code:
    | "model_unavailable"
    | "model_quota_exhausted"
    | "model_misconfigured"
    | "empty_response"
    | "max_tokens"
    | "model_stopped"
    | "budget_exceeded"
    | "invalid_output"
    | "schema_rejected"
    | "attachment_rejected"
    | "moderation_unavailable"
    | "blocked"
  readonly message: string
  /** Google's reason (`SAFETY`, `PROHIBITED_CONTENT`, …), or `MODERATION` when the server's own check refused it. */
  readonly reason?: string
  /** What was refused. */
  readonly about?: "question" | "answer"
  /** The categories of harm for which it was refused, as far as they are known. */
  readonly categories?: ReadonlyArray<string>
}

/** The reply's settings, as they were when its question was accepted. */
export interface ReplySettings {
  readonly model: string
  readonly temperature: number | null
  readonly maxOutputTokens: number
  readonly contextTokens: number
  readonly thinking?: Thinking
  readonly tools?: ReadonlyArray<"search" | "url">
  readonly responseFormat?: AnswerFormat
}

export interface ResetPassword {
  /** A mobile number with its country code. Spaces, dashes, dots, brackets and invisible format characters are allowed. A server with `DEFAULT_REGION` also takes national numbers of that country. */
  readonly mobile: string
  /** The six digits of the code, as a string. */
  readonly otp: string
  /** 8 to 128 characters, not a common password, and without the user's number, name or e-mail; otherwise 422 `weak_password`. */
  readonly newPassword: string
  readonly challengeId?: string
}

/** What a model has made of the part of a long room that a prompt has no place for. */
export interface RoomSummary {
  readonly upTo: string
  /** An estimate. */
  readonly tokens: number
  readonly text: string
  /** The model that wrote it. */
  readonly model: string
  readonly createdAt: string
}

export interface SendMessage {
  /** Not blank; empty only with attachments. */
  readonly content: string
  /** Ids of uploaded files. */
  readonly attachments?: ReadonlyArray<string>
  readonly settings?: AskSettings
}

/** A login; `id` is the token's `sid`. */
export interface Session {
  readonly id: string
  readonly createdAt: string
  readonly lastUsedAt: string
  readonly userAgent: string | null
  /** Whether this request uses it. */
  readonly current: boolean
}

/** A page of a list. */
export interface SessionPage {
  readonly data: ReadonlyArray<Session>
  readonly hasMore: boolean
  /** Null on the last page. */
  readonly nextCursor: string | null
}

/** A live shared link, without its address. */
export interface Share {
  readonly id: string
  readonly title: string
  readonly createdAt: string
  /** Null: until it is revoked. */
  readonly expiresAt: string | null
  /** Whether it shows the files of its questions. */
  readonly attachments: boolean
  readonly chatroomId: string
  /** How often the link was opened. The newest views are added within a minute. */
  readonly views: number
}

/** A page of a list. */
export interface SharePage {
  readonly data: ReadonlyArray<Share>
  readonly hasMore: boolean
  /** Null on the last page. */
  readonly nextCursor: string | null
}

/** A file of a shared question. */
export interface SharedAttachment {
  readonly name: string
  readonly type: string
  readonly bytes: number
  /** Where its bytes are, as long as the link is live; null when the file was deleted. */
  readonly url: string | null
}

/** A page of a shared conversation. */
export interface SharedConversation {
  readonly title: string
  /** When it was shared. */
  readonly createdAt: string
  /** Oldest first. */
  readonly messages: ReadonlyArray<SharedMessage>
  readonly hasMore: boolean
  /** Null on the last page. */
  readonly nextCursor: string | null
}

/** A question or a completed reply of a shared conversation. */
export interface SharedMessage {
  readonly role: "user" | "model"
  readonly content: string
  /** The model that wrote the reply. */
  readonly model: string | null
  readonly createdAt: string
  /** The web pages that the reply relies on. */
  readonly sources?: ReadonlyArray<Source>
  /** The question's files, if the link shows them. */
  readonly attachments?: ReadonlyArray<SharedAttachment>
}

/** The user, `pending` until a code confirms the number. */
export interface SignUp {
  readonly user: User
  /** For POST /auth/verify-otp within an hour: only with it are this signup's password, name and e-mail adopted. */
  readonly signupToken: string
}

/** A web page that the reply relies on. */
export interface Source {
  /** As Google sent it: often an address of Google that redirects to the page and expires after some days. The server does not resolve it. */
  readonly url: string
  /** The page's title, or its domain. */
  readonly title: string
  readonly domain: string | null
}

export interface SourcesData {
  readonly type: "sources"
  /** The web pages that the reply relies on. */
  readonly sources: ReadonlyArray<Source>
  /** Which parts of the text rely on which sources, in their order. */
  readonly citations: ReadonlyArray<Citation>
  /** What was searched for with Google. */
  readonly searches: ReadonlyArray<string>
  /** Google's search suggestions, as HTML with its own style. Google's terms require that a client which shows the reply shows them with it, unchanged. */
  readonly searchSuggestions: string | null
  /** The addresses that were read. */
  readonly urls: ReadonlyArray<ReadUrl>
}

export interface StatusData {
  readonly type: "status"
  readonly status: "queued" | "processing" | "waiting" | "completed" | "failed" | "cancelled"
  readonly attempt: number
  /** While `waiting`: when the next attempt starts. */
  readonly retryAt?: string
}

export interface Subscribe {
  /** How often to pay; without it, the first that `GET /plans` lists. */
  readonly interval?: "month" | "year"
  /** A code that lowers the price. Without it, the page at Stripe has a field for one. */
  readonly promotionCode?: string
}

/** The tier, the subscription and today's prompts. */
export interface SubscriptionStatus {
  /** `basic`, or the id of a plan: `pro` unless the server sells other plans (`GET /plans`). */
  readonly tier: string
  /** The plan of the subscription; null if there never was one. */
  readonly plan: string | null
  /** How often it is paid, `month` or `year`; null if there never was one, and until the next sync of an old one. */
  readonly interval: string | null
  /** Stripe's status of the subscription; null if there never was one. */
  readonly status: string | null
  readonly currentPeriodEnd: string | null
  /** When the running trial ends; null without one. */
  readonly trialEndsAt: string | null
  readonly discount: Discount | null
  /** When a pending cancellation takes effect. */
  readonly cancelAt: string | null
  /** When Pro ends unless the open invoice is paid. */
  readonly graceEndsAt: string | null
  /** The page where the open invoice can be paid. */
  readonly invoiceUrl: string | null
  readonly limits: Limits
  /** When the subscription was last synced with Stripe. */
  readonly syncedAt: string | null
}

/** How the model thinks before it answers. */
export interface Thinking {
  /** One of the levels of the room's model (`GET /models`); null: the model's default. */
  readonly level: "minimal" | "low" | "medium" | "high" | null
  /** Whether the model's summaries of its thoughts are shown. */
  readonly summaries: boolean
}

/** How the model thinks before it answers. An omitted member is unchanged. */
export interface ThinkingInput {
  /** One of the levels of the room's model (`GET /models`); null: the model's default. */
  readonly level?: "minimal" | "low" | "medium" | "high" | null
  /** Whether the model's summaries of its thoughts are shown. */
  readonly summaries?: boolean
}

export interface ThoughtData {
  readonly type: "thought"
  readonly text: string
  readonly offset: number
}

/** A ticket for one request that cannot send headers. */
export interface Ticket {
  /** For `?ticket=` of this one path. */
  readonly ticket: string
  /** Until when the ticket can be used for the first time. */
  readonly expiresAt: string
  /** The path with the ticket. Further parameters can be appended with `&`. */
  readonly url: string
}

export interface TitleData {
  readonly type: "title"
  readonly title: string
}

export interface ToMobile {
  /** A mobile number with its country code. Spaces, dashes, dots, brackets and invisible format characters are allowed. A server with `DEFAULT_REGION` also takes national numbers of that country. */
  readonly mobile: string
}

/** A new pair of tokens. */
export interface Tokens {
  /** The access token, for `Authorization: Bearer`. */
  readonly token: string
  readonly tokenType: "Bearer"
  /** Seconds until the access token expires. */
  readonly expiresIn: number
  /** For POST /auth/refresh; can be used once. Absent only with `X-Refresh-Token: cookie`. */
  readonly refreshToken?: string
}

export interface UpdateChatroom {
  /** Null: an automatic title from the first question, as for a room created without a title. */
  readonly title?: string | null
  /** Instructions for the model, sent with every question. */
  readonly systemPrompt?: string | null
  /** Null: the server's default model. */
  readonly model?: string | null
  /** Null: the model's default. */
  readonly temperature?: number | null
  readonly thinking?: ThinkingInput
  /** `search` lets the model search with Google, `url` lets it read web pages whose addresses are in the conversation. */
  readonly tools?: ReadonlyArray<"search" | "url">
  /** Whether messages that no longer fit into a prompt are summarised. Null: the server's default (`ROOM_SUMMARIES`). */
  readonly summary?: boolean | null
  readonly headId?: string
  readonly pinned?: boolean
  readonly archived?: boolean
}

export interface UpdateMe {
  readonly name?: string | null
  readonly email?: string | null
}

/** Tokens as counted by the model. */
export interface Usage {
  readonly promptTokens: number
  readonly replyTokens: number
  readonly thoughtTokens: number
  readonly cachedTokens: number
  readonly toolTokens: number
}

/** The days with at least one prompt. */
export interface UsageByDay {
  readonly data: ReadonlyArray<DayOfUsage>
}

export interface UsageData extends Usage {
  readonly type: "usage"
}

/** A user. */
export interface User {
  readonly id: string
  /** In E.164: `+` and digits. */
  readonly mobile: string
  readonly name: string | null
  readonly email: string | null
  /** `pending` until a code confirms the number. */
  readonly status: "pending" | "active"
  readonly createdAt: string
}

/** Everything stored about the user, each room with all its messages. */
export interface UserExport {
  readonly user: ExportedProfile
  readonly sessions: ReadonlyArray<ExportedSession>
  readonly apiKeys: ReadonlyArray<ExportedApiKey>
  readonly authEvents: ReadonlyArray<ExportedEvent>
  readonly shares: ReadonlyArray<ExportedShare>
  readonly subscriptions: ReadonlyArray<ExportedSubscription>
  readonly usage: ReadonlyArray<DayOfUsage>
  readonly files: ReadonlyArray<ExportedFile>
  readonly summaries: ReadonlyArray<ExportedSummary>
  readonly chatrooms: ReadonlyArray<ChatroomExport>
}

export interface VerifyOtp {
  /** A mobile number with its country code. Spaces, dashes, dots, brackets and invisible format characters are allowed. A server with `DEFAULT_REGION` also takes national numbers of that country. */
  readonly mobile: string
  /** The six digits of the code, as a string. */
  readonly otp: string
  readonly challengeId?: string
  /** The purpose that the code was sent for; `login` when absent. */
  readonly purpose?: "login" | "reset_password"
  /** The `signupToken` of POST /auth/signup. A token that is not valid is ignored. */
  readonly signupToken?: string
}

/** The versions of a message: the questions that follow the same reply, or the replies to the same question. */
export interface Versions {
  /** Its number among them, from 1 on, the oldest first. */
  readonly index: number
  readonly count: number
  /** The version before it. */
  readonly previous: string | null
  /** The version after it. */
  readonly next: string | null
}

/** The data of an event of a reply's stream. */
export type ReplyEvent =
  | StatusData
  | DeltaData
  | ReplaceData
  | UsageData
  | CompletedData
  | FailedData
  | CancelledData
  | TitleData
  | ThoughtData
  | SourcesData

/** The code of a problem. Later releases may add some. */
export type ProblemCode =
  | "already_finished"
  | "already_subscribed"
  | "attachments_not_in_plan"
  | "attachments_too_large"
  | "bad_json"
  | "bad_request"
  | "billing_unavailable"
  | "budget_exceeded"
  | "change_in_portal"
  | "chatroom_not_found"
  | "chatrooms_limited"
  | "checkout_not_found"
  | "country_unsupported"
  | "credentials_invalid"
  | "cross_origin_cookie"
  | "current_password_invalid"
  | "delivery_failed"
  | "event_unreadable"
  | "expectation_failed"
  | "file_empty"
  | "file_not_found"
  | "file_too_large"
  | "file_type_not_supported"
  | "file_unreadable"
  | "headers_too_large"
  | "idempotency_key_reused"
  | "internal"
  | "key_not_allowed"
  | "key_not_found"
  | "message_not_found"
  | "method_not_allowed"
  | "model_not_in_plan"
  | "no_customer"
  | "no_subscription"
  | "not_a_question"
  | "not_a_reply"
  | "not_cancelling"
  | "not_finished"
  | "not_found"
  | "not_ready"
  | "nothing_to_share"
  | "otp_attempts_exceeded"
  | "otp_cooldown"
  | "otp_invalid"
  | "otp_send_limited"
  | "overloaded"
  | "payload_too_large"
  | "payment_required"
  | "pending_cancellation"
  | "phone_taken"
  | "plan_not_found"
  | "promotion_code_invalid"
  | "quota_exceeded"
  | "range_not_satisfiable"
  | "reauthentication_required"
  | "refresh_invalid"
  | "refresh_reused"
  | "request_timeout"
  | "room_busy"
  | "same_password"
  | "session_not_found"
  | "session_revoked"
  | "share_not_found"
  | "share_too_large"
  | "signature_invalid"
  | "spend_limit_reached"
  | "storage_full"
  | "storage_unavailable"
  | "subscription_ended"
  | "summary_not_found"
  | "timeout"
  | "token_expired"
  | "token_invalid"
  | "too_many_attempts"
  | "too_many_branches"
  | "too_many_chatrooms"
  | "too_many_keys"
  | "too_many_messages"
  | "too_many_requests"
  | "too_many_shares"
  | "too_many_streams"
  | "tool_not_in_plan"
  | "unauthenticated"
  | "unavailable"
  | "unsupported_media_type"
  | "uploads_limited"
  | "validation_failed"
  | "weak_password"

/** Every operation: what its request takes, and the JSON of its answer; `Response` where that is text, events or bytes. */
export interface Operations {
  /** Register a mobile number. The user is `pending` until a code confirms the number. */
  "POST /auth/signup": {
    readonly body: NewUser
    readonly response: SignUp
  }
  /** Send a one-time code. The response is the same for known and unknown numbers. Within 30 seconds of another client's request no second message is sent: the client gets a challenge of its own for the same code. */
  "POST /auth/send-otp": {
    readonly body: ToMobile
    readonly response: OtpChallenge
  }
  /** Log in with a code. The first valid code registers an unregistered number. With `reset_password`, the session lasts ten minutes and can only change the password. */
  "POST /auth/verify-otp": {
    readonly body: VerifyOtp
    readonly response: Login
  }
  /** Send a code to reset the password. The response is the same for known and unknown numbers. */
  "POST /auth/forgot-password": {
    readonly body: ToMobile
    readonly response: OtpChallenge
  }
  /** Set a new password with a code. Ends all sessions. A weak password does not use up the code. */
  "POST /auth/reset-password": {
    readonly body: ResetPassword
    readonly response: undefined
  }
  /** Log in with a password. 404 unless the server has PASSWORD_LOGIN=true. */
  "POST /auth/login": {
    readonly body: PasswordLogin
    readonly response: Login
  }
  /** Exchange the refresh token. If the response is lost, repeat the request with the same token: that works for an hour, until the new token has been used. After that, using the old token ends the session. */
  "POST /auth/refresh": {
    readonly body?: Refresh
    readonly response: Tokens
  }
  /** Set or change the password. Ends the other sessions. The first password needs a login within the last ten minutes instead of a current password. */
  "POST /auth/change-password": {
    readonly body: ChangePassword
    readonly response: undefined
  }
  /** Log out of this session, the others, or all. `scope` is `local` (this session, the default), `others` or `global`. With `X-Refresh-Token: cookie` the session may also be that of the cookie, and the cookie is cleared unless only the others end. */
  "POST /auth/logout": {
    readonly body?: Logout
    readonly response: undefined
  }
  /** List the user's sessions. Newest first. */
  "GET /auth/sessions": {
    readonly query?: {
      /** Items per page. */
      readonly limit?: number | undefined
      /** The `nextCursor` of the previous page. */
      readonly cursor?: string | undefined
    }
    readonly response: SessionPage
  }
  /** End a session. Its tokens stop working immediately. */
  "DELETE /auth/sessions/:id": {
    readonly params: {
      /** Session id. */
      readonly id: string
    }
    readonly response: undefined
  }
  /** Get the user, tier and today's quota. The quota resets at midnight UTC. */
  "GET /user/me": {
    readonly response: Me
  }
  /** Change the name or e-mail. Set to null to remove the value. */
  "PATCH /user/me": {
    readonly body?: UpdateMe
    readonly response: Me
  }
  /** Delete the account. Deletes all rooms and messages. A subscription is canceled immediately, without a refund. While Stripe cannot be reached, nothing is deleted and nothing is canceled. */
  "DELETE /user/me": {
    readonly response: undefined
  }
  /** Export all of the user's data. One JSON file, streamed. A user may run one export at a time, of the account or of a room; further ones wait up to three seconds, then get 429. */
  "GET /user/me/export": {
    readonly query?: {
      /** Whether messages include their `thoughts`. */
      readonly thoughts?: boolean | undefined
      /** Instead of the access token, for clients that cannot send headers. */
      readonly ticket?: string | undefined
    }
    readonly response: UserExport
  }
  /** Create a ticket for the export of the account. For a download that a browser starts from a link. The ticket is valid for one request within 60 seconds. A user may create 300 tickets an hour. */
  "POST /user/me/export-ticket": {
    readonly response: Ticket
  }
  /** List prompts and tokens by UTC day. The last three months, newest first. */
  "GET /user/usage": {
    readonly response: UsageByDay
  }
  /** Create an API key. For programs: the key is sent like an access token and acts as its user. It works on `/chatroom`, `/files`, `/ai/chat`, `/search`, `/models` and `/v1`, but not for deletions; other routes answer 403 `key_not_allowed`. It ends when it is deleted, when it expires, and when the password is reset. A user may have 20 keys. */
  "POST /user/keys": {
    readonly body: CreateApiKey
    readonly response: NewApiKey
  }
  /** List the API keys. Newest first, without the keys themselves. */
  "GET /user/keys": {
    readonly query?: {
      /** Items per page. */
      readonly limit?: number | undefined
      /** The `nextCursor` of the previous page. */
      readonly cursor?: string | undefined
    }
    readonly response: ApiKeyPage
  }
  /** Delete an API key. The key and its open streams end at once, at every process. */
  "DELETE /user/keys/:id": {
    readonly params: {
      /** The key's id. */
      readonly id: string
    }
    readonly response: undefined
  }
  /** Create a chatroom. Without a title it is called `New chat`. Its first question's first words then become its title, which a model may replace; `titleSource` says where the title comes from. A user may create 1,200 chatrooms an hour. */
  "POST /chatroom": {
    readonly body?: CreateChatroom
    readonly response: Chatroom
  }
  /** List chatrooms. Pinned rooms first, then by latest activity. Archived rooms only with `archived=true`. */
  "GET /chatroom": {
    readonly query?: {
      /** Items per page. */
      readonly limit?: number | undefined
      /** The `nextCursor` of the previous page. */
      readonly cursor?: string | undefined
      /** Archived rooms instead of the others. */
      readonly archived?: boolean | undefined
      /** Only rooms whose title contains this text. */
      readonly q?: string | undefined
    }
    readonly response: ChatroomPage
  }
  /** Get a chatroom with its last messages. The last 50 messages, oldest first. */
  "GET /chatroom/:id": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
    }
    readonly response: ChatroomWithMessages
  }
  /** Change a chatroom. Omitted fields are unchanged. `headId` selects another branch; 409 `not_finished` while a reply of the room has not ended. */
  "PATCH /chatroom/:id": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
    }
    readonly body?: UpdateChatroom
    readonly response: Chatroom
  }
  /** Delete a chatroom. Deletes its messages and stops a running reply. */
  "DELETE /chatroom/:id": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
    }
    readonly response: undefined
  }
  /** List the messages of a chatroom. Newest first. With `after`: the messages after that one, oldest first. A page ends after 1 MiB of text, so it can have fewer messages than `limit`; `nextCursor` continues. With `branch=active`, `before` and `after` name messages of the active branch. */
  "GET /chatroom/:id/messages": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
    }
    readonly query?: {
      /** Items per page. */
      readonly limit?: number | undefined
      /** The `nextCursor` of the previous page. */
      readonly cursor?: string | undefined
      /** Only messages before this one. */
      readonly before?: string | undefined
      /** Only messages after this one, oldest first. */
      readonly after?: string | undefined
      /** `active`: the messages from the first question to the head (`headId`). `all`: also those of other branches. */
      readonly branch?: "active" | "all" | undefined
      /** Whether messages include their `thoughts`. */
      readonly thoughts?: boolean | undefined
    }
    readonly response: MessagePage
  }
  /** Ask a question. 202 when the question and its waiting reply are stored. With `?wait=N` or `Prefer: wait=N`: 201 if the reply ends within N seconds. */
  "POST /chatroom/:id/message": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
    }
    readonly query?: {
      /** Seconds to wait for the reply. A user's sixth simultaneous wait gets the current state at once. */
      readonly wait?: number | undefined
    }
    readonly body: SendMessage
    readonly response: Exchange
  }
  /** Get the newest question and its reply. Both are null in an empty room. */
  "GET /chatroom/:id/latest": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
    }
    readonly query?: {
      /** Seconds to wait for the reply. A user's sixth simultaneous wait gets the current state at once. */
      readonly wait?: number | undefined
    }
    readonly response: Latest
  }
  /** Get a message. The content of a reply is empty until it has ended. Its stream has the text so far. */
  "GET /chatroom/:id/message/:mid": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
      /** Message id. */
      readonly mid: string
    }
    readonly query?: {
      /** Seconds to wait for the reply. A user's sixth simultaneous wait gets the current state at once. */
      readonly wait?: number | undefined
    }
    readonly response: Message
  }
  /** Delete a question and everything after it. Deletes the question, its replies, and all messages that follow them. If the head is deleted, the newest message beside the question becomes the head. */
  "DELETE /chatroom/:id/message/:mid": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
      /** Message id. */
      readonly mid: string
    }
    readonly response: undefined
  }
  /** Export a chatroom with its messages. The active branch, or with `branch=all` all messages; `parentId` is the message before. JSON, or text/markdown with `format=markdown`. A user may run one export at a time, of a room or of the account; further ones wait up to three seconds, then get 429. */
  "GET /chatroom/:id/export": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
    }
    readonly query?: {
      /** Format of the export. */
      readonly format?: "json" | "markdown" | undefined
      /** `active`: the messages from the first question to the head (`headId`). `all`: also those of other branches. */
      readonly branch?: "active" | "all" | undefined
      /** Whether messages include their `thoughts`. */
      readonly thoughts?: boolean | undefined
      /** Instead of the access token, for clients that cannot send headers. */
      readonly ticket?: string | undefined
    }
    readonly response: ChatroomExport
  }
  /** Create a ticket for the export of a chatroom. For a download that a browser starts from a link. The ticket is valid for one request within 60 seconds. A user may create 300 tickets an hour. */
  "POST /chatroom/:id/export-ticket": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
    }
    readonly response: Ticket
  }
  /** Stream a reply. Server-sent events: `status`, `delta`, `replace` (a new attempt starts over), `thought` (with `thinking.summaries`), `title` (the room got an automatic title), `usage`, `sources` (of a reply made with tools), and at the end one of `completed`, `failed`, `cancelled` with the Message. Skip events with other names: later releases may add some. To resume, send the id of the last event as `Last-Event-ID` or `?after=`. 204 if the reply has ended and the client has read all of it. A browser's `EventSource` cannot send a token, and opens the `url` of a stream ticket instead. */
  "GET /chatroom/:id/message/:mid/stream": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
      /** Message id. */
      readonly mid: string
    }
    readonly query?: {
      /** The id of the last event that the client has read. */
      readonly after?: string | undefined
      /** Instead of the access token, for clients that cannot send headers. */
      readonly ticket?: string | undefined
    }
    readonly response: Response
  }
  /** Create a ticket for a stream. For `EventSource`, which cannot send headers. The ticket opens this stream once, within 60 seconds. After that, reconnects with `Last-Event-ID`, which `EventSource` sends, are accepted until ten minutes after the ticket's creation, or until the session ends. A user may create 300 tickets an hour. */
  "POST /chatroom/:id/message/:mid/stream-ticket": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
      /** Message id. */
      readonly mid: string
    }
    readonly response: Ticket
  }
  /** Stop a reply. Keeps the text written so far. */
  "POST /chatroom/:id/message/:mid/cancel": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
      /** Message id. */
      readonly mid: string
    }
    readonly response: Message
  }
  /** Make another reply to a question. Takes quota like a new question. The old reply stays readable. */
  "POST /chatroom/:id/message/:mid/regenerate": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
      /** Message id. */
      readonly mid: string
    }
    readonly body?: RegenerateMessage
    readonly response: Exchange
  }
  /** Rate a reply. Replaces the earlier feedback. Operators see it with the ids of the user, the room and the reply, without their texts. */
  "PUT /chatroom/:id/message/:mid/feedback": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
      /** Message id. */
      readonly mid: string
    }
    readonly body: GiveFeedback
    readonly response: Message
  }
  /** Get what was sent to the model for a reply. Before the first attempt: what would be sent now. A user may run one such request at a time; further ones wait up to three seconds, then get 429. */
  "GET /chatroom/:id/message/:mid/context": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
      /** Message id. */
      readonly mid: string
    }
    readonly response: ContextReceipt
  }
  /** Edit a question. Asks a new version of the question, which takes quota like a new question. It follows the same reply as the old version and begins a branch, which becomes the active one; the old version and the messages after it stay (`versions`, `headId`). 409 `not_finished` while a reply to the old version, or to a later question after it, has not ended: cancel that reply first. */
  "POST /chatroom/:id/message/:mid/edit": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
      /** Message id. */
      readonly mid: string
    }
    readonly query?: {
      /** Seconds to wait for the reply. A user's sixth simultaneous wait gets the current state at once. */
      readonly wait?: number | undefined
    }
    readonly body: EditMessage
    readonly response: Exchange
  }
  /** Copy a branch into a new chatroom. The new chatroom has the same settings, and copies of the messages from the first question to `messageId`, at most 2,000. It takes no quota. Costs and feedback are not copied. */
  "POST /chatroom/:id/fork": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
    }
    readonly body?: ForkChatroom
    readonly response: Chatroom
  }
  /** Get the summary of a long chatroom. When a room's messages no longer fit into a prompt, a job summarises the oldest ones. Prompts of the branch that has `upTo` contain the summary instead of the omitted messages. */
  "GET /chatroom/:id/summary": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
    }
    readonly response: RoomSummary
  }
  /** Delete the summary of a chatroom. The next summary is made from the messages again. A summary in progress is discarded. */
  "DELETE /chatroom/:id/summary": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
    }
    readonly response: undefined
  }
  /** Import a chatroom. Creates a room from an export in JSON, of one branch or of all: at most 2,000 messages, 8 MiB and 400,000 values. It takes no quota. Texts, thoughts, models, sources and times are imported; ids, usage, costs and feedback are not. A reply that had not ended becomes cancelled. A model, level or tool that the user cannot choose becomes the default. Of files that the user does not have, only the names are kept. A user may run one import at a time, and 20 an hour. */
  "POST /chatroom/import": {
    readonly body: ImportChatroom
    readonly response: ImportedChatroom
  }
  /** Search the user's messages. Newest first. One search reads the newest 8 MiB of text, or 10,000 messages: a page can have fewer messages than `limit`, or none, and `nextCursor` continues. A user may run two searches at a time; further ones wait up to three seconds, then get 429. */
  "GET /search": {
    readonly query: {
      /** Text to find. */
      readonly q: string
      /** Items per page. */
      readonly limit?: number | undefined
      /** The `nextCursor` of the previous page. */
      readonly cursor?: string | undefined
    }
    readonly response: FoundMessagePage
  }
  /** Share a conversation by link. The link shows the room's present questions and completed replies, up to `upTo`; later messages are not shown. It ends when it is revoked, when it expires, and when the room is deleted. A user may have 100 live links. */
  "POST /chatroom/:id/share": {
    readonly params: {
      /** Chatroom id. */
      readonly id: string
    }
    readonly body?: CreateShare
    readonly response: NewShare
  }
  /** List the live shared links. Newest first. */
  "GET /shares": {
    readonly query?: {
      /** Items per page. */
      readonly limit?: number | undefined
      /** The `nextCursor` of the previous page. */
      readonly cursor?: string | undefined
    }
    readonly response: SharePage
  }
  /** Revoke a shared link. From then on the link is 404, at every process. */
  "DELETE /shares/:id": {
    readonly params: {
      /** The link's id. */
      readonly id: string
    }
    readonly response: undefined
  }
  /** Copy a shared conversation into a new chatroom. At most 2,000 messages with 16 MiB of text. It takes no quota. */
  "POST /share/:token/copy": {
    readonly params: {
      /** The last part of the link. */
      readonly token: string
    }
    readonly response: Chatroom
  }
  /** Read a shared conversation. Needs no token, unless `SHARING=users`. A link that is wrong, expired or revoked, or whose room was deleted, is 404; after 60 such requests in a minute an address gets 429. A browser (`Accept: text/html`) gets a page. A page ends after 1 MiB of text, so it can have fewer messages than `limit`; `nextCursor` continues. A process reads four pages of a link at a time; further requests wait up to three seconds, then get 429. */
  "GET /share/:token": {
    readonly params: {
      /** The last part of the link. */
      readonly token: string
    }
    readonly query?: {
      /** Items per page. */
      readonly limit?: number | undefined
      /** `nextCursor` of the page before. */
      readonly after?: string | undefined
    }
    readonly response: SharedConversation
  }
  /** Download a file of a shared conversation. A file of a message that the link shows, if the link was made with `attachments`; `url` of the message's `attachments` has the address. Like `GET /files/:id/content`, but always from this server, so that a revoked link is 404 at once. */
  "GET /share/:token/files/:message/:index": {
    readonly params: {
      /** The last part of the link. */
      readonly token: string
      /** The message's place in the conversation, from 0 on. */
      readonly message: number
      /** The file's place in the message, from 0 on. */
      readonly index: number
    }
    readonly response: Response
  }
  /** Upload a file. The body is the file, and `Content-Type` its type; both must agree. When the user already has a file with the same bytes, the response is 200 with that file. Images up to 10 MiB, PDF up to 20 MiB and 200 pages, audio up to 20 MiB, text in UTF-8 up to 1 MiB. A file that no question uses within 24 hours is deleted; a used file is deleted with its last question. A user may upload 60 files an hour. An upload ends with an error when less than 128 KiB arrive in 30 seconds, and after ten minutes. */
  "POST /files": {
    readonly query?: {
      /** The file's name; by default that of `Content-Disposition`, or else `file`. */
      readonly name?: string | undefined
    }
    readonly body: string
    readonly response: File
  }
  /** List files. The user's files, newest first. */
  "GET /files": {
    readonly query?: {
      /** Items per page. */
      readonly limit?: number | undefined
      /** The `nextCursor` of the previous page. */
      readonly cursor?: string | undefined
    }
    readonly response: FilePage
  }
  /** Get a file. Its name, type and size; `/content` has its bytes. */
  "GET /files/:id": {
    readonly params: {
      /** File id. */
      readonly id: string
    }
    readonly response: File
  }
  /** Delete a file. Messages keep its name and type; later prompts do not contain it. */
  "DELETE /files/:id": {
    readonly params: {
      /** File id. */
      readonly id: string
    }
    readonly response: undefined
  }
  /** Download a file. Always as an attachment: a browser saves the file and does not show or run it. `Content-Type` is the file's type; text is `text/plain`. */
  "GET /files/:id/content": {
    readonly params: {
      /** File id. */
      readonly id: string
    }
    readonly query?: {
      /** Instead of the access token, for clients that cannot send headers. */
      readonly ticket?: string | undefined
    }
    readonly response: Response
  }
  /** Create a ticket for the download of a file. For a download that a browser starts from a link. The ticket is valid for one request within 60 seconds. A user may create 300 tickets an hour. */
  "POST /files/:id/content-ticket": {
    readonly params: {
      /** File id. */
      readonly id: string
    }
    readonly response: Ticket
  }
  /** List the models. Every model that a chatroom may choose, with its limits for the user's tier. */
  "GET /models": {
    readonly response: ModelList
  }
  /** List the plans. For everyone: no token is needed. Prices are Stripe's, read at most ten minutes ago. A server without billing has only Basic. */
  "GET /plans": {
    readonly response: PlanList
  }
  /** Subscribe to Pro. Opens a checkout at Stripe. While it is open, another call returns the same checkout with 200. The same as `POST /subscribe/{plan}` with the plan `pro`. */
  "POST /subscribe/pro": {
    readonly body?: Subscribe
    readonly response: Checkout
  }
  /** Subscribe to a plan. Opens a checkout at Stripe. While it is open, another call for the same plan, interval and code returns the same checkout with 200; a call for another one closes it. A number that never had a trial gets the plan's trial. A subscriber changes the plan in the portal. */
  "POST /subscribe/:plan": {
    readonly params: {
      /** The id of a plan of `GET /plans`. */
      readonly plan: string
    }
    readonly body?: Subscribe
    readonly response: Checkout
  }
  /** List the invoices. Newest first, read from Stripe. 404 until the user has opened a checkout. */
  "GET /subscription/invoices": {
    readonly query?: {
      /** Items per page. */
      readonly limit?: number | undefined
      /** The `nextCursor` of the previous page. */
      readonly cursor?: string | undefined
    }
    readonly response: InvoicePage
  }
  /** Get the tier, the subscription and today's prompts. Read from the server's database, so it works when Stripe does not. */
  "GET /subscription/status": {
    readonly response: SubscriptionStatus
  }
  /** Cancel at the end of the period. Pro until then. Repeating it changes nothing. */
  "POST /subscription/cancel": {
    readonly response: SubscriptionStatus
  }
  /** Undo a pending cancellation. The subscription renews as before. */
  "POST /subscription/reactivate": {
    readonly response: SubscriptionStatus
  }
  /** Open Stripe's customer portal. To change the card or the plan, and for invoices. 404 until the user has opened a checkout. */
  "POST /subscription/portal": {
    readonly response: Portal
  }
  /** Return from the checkout. Asks Stripe at once instead of waiting for a webhook. Stripe also redirects browsers here: a request without a token that accepts `text/html` is redirected to the front end (303), or without a front end gets a page that shows no data. */
  "GET /billing/return": {
    readonly query: {
      /** The id of the checkout session; Stripe adds it to the URL. */
      readonly session_id: string
    }
    readonly response: SubscriptionStatus
  }
  /** Check that the process is up. A process that answers needs no restart, even if it is not ready. */
  "GET /healthz": {
    readonly response: Health
  }
  /** Check that the process is ready. Checks the database, its migrations, the notification listener, its connections, the clock, the default model and, where they run, the worker and billing. */
  "GET /readyz": {
    readonly response: Readiness
  }
}

/** Operations that take an idempotency key. */
export const keyed: ReadonlySet<string> = new Set([
  "POST /user/keys",
  "POST /chatroom",
  "POST /chatroom/:id/message",
  "POST /chatroom/:id/message/:mid/regenerate",
  "POST /chatroom/:id/message/:mid/edit",
  "POST /chatroom/:id/fork",
  "POST /chatroom/import",
  "POST /chatroom/:id/share",
  "POST /share/:token/copy",
  "POST /files",
  "POST /subscribe/pro",
  "POST /subscribe/:plan"
])

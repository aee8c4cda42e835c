/** What somebody would write against the client that is generated of openapi.json. It prints what it saw as JSON. */
export const flow = `
import { Api, type HttpResponse } from "./Api.js"

const [baseUrl = "", mobile = ""] = process.argv.slice(2)
const bearer = (token: string | null) => (token === null ? {} : { headers: { Authorization: \`Bearer \${token}\` } })
const api = new Api<string>({ baseUrl, securityWorker: bearer })
const seen: Record<string, unknown> = {}

/** The answer, or the typed refusal: the client throws what is not 2xx. */
const refusalOf = async <T, E>(request: Promise<HttpResponse<T, E>>): Promise<E> =>
  request.then(
    () => { throw new Error("it was not refused") },
    (response: HttpResponse<T, E>) => response.error
  )

const { data: { user } } = await api.auth.signUp({ mobile, name: "Ada" })
seen["signup"] = user.status

const { data: challenge } = await api.auth.sendOtp({ mobile })
const cooling = await refusalOf(api.auth.sendOtp({ mobile }))
if (cooling.code === "otp_cooldown") seen["otpCooldown"] = cooling.retryAfter > 0

const { data: login } = await api.auth.verifyOtp({ mobile, otp: challenge.otp ?? "", challengeId: challenge.challengeId })
api.setSecurityData(login.token)
seen["login"] = login.user.id === user.id && login.tokenType === "Bearer" && login.user.status === "active"

const { data: room } = await api.chatroom.createChatroom({ title: "Looms", temperature: 0.5, model: null })
seen["room"] = room.title
const created = await api.chatroom.createChatroom()
seen["emptyRoom"] = created.data.title

const answered = await api.chatroom.sendMessage(room.id, { content: "What does it weave?" }, { wait: 20 })
const { message, quota, reply } = answered.data
seen["answered"] = [answered.status, message.role, reply.role, reply.status, reply.content.length > 0, reply.usage !== null]
seen["rateLimit"] = answered.headers.get("ratelimit")?.startsWith('"daily";r=4;t=') ?? false
seen["quota"] = [quota.limit, quota.used, quota.remaining]

const { data: latest } = await api.chatroom.getLatest(room.id, { wait: 1 })
seen["latest"] = latest.message?.id === message.id && latest.reply?.content === reply.content

const { data: page } = await api.chatroom.listChatrooms({ limit: 1, archived: false })
seen["list"] = [page.data.length, page.hasMore, page.data[0]?.id === room.id]
const { data: next } = await api.chatroom.listChatrooms({ limit: 1, cursor: page.nextCursor ?? "" })
seen["nextPage"] = [next.data[0]?.id === created.data.id, next.hasMore, next.nextCursor]

seen["me"] = (await api.user.getMe()).data.quota.remaining
const { data: subscription } = await api.subscription.getSubscriptionStatus()
seen["subscription"] = [subscription.tier, subscription.status, subscription.limits.daily]
const { data: exported } = await api.chatroom.exportChatroom(room.id)
seen["export"] = exported.messages.map(({ role }) => role)

const unfit = await refusalOf(api.chatroom.sendMessage(room.id, { content: " " }))
if (unfit.code === "validation_failed") seen["unfit"] = unfit.errors.map(({ path }) => path)
for (let asked = 1; asked < 5; asked++) await api.chatroom.sendMessage(room.id, { content: "And?" }, { wait: 20 })
const exceeded = await refusalOf(api.chatroom.sendMessage(room.id, { content: "And?" }))
if (exceeded.code === "quota_exceeded") seen["exceeded"] = [exceeded.status, exceeded.limit, exceeded.upgradeUrl.length > 0]
const missing = await refusalOf(api.chatroom.getChatroom(user.id))
if (missing.code === "chatroom_not_found") seen["missing"] = missing.title

const { data: fresh } = await api.auth.refresh({ refreshToken: login.refreshToken })
api.setSecurityData(fresh.token)
seen["refreshed"] = (await api.user.getMe()).status
seen["logout"] = (await api.auth.logout({ scope: "local" })).status
const ended = await refusalOf(api.user.getMe())
seen["afterLogout"] = ended.code
process.stdout.write(JSON.stringify(seen))
`

/** Uses that are wrong, and what of each is: the types have to know. */
export const wrong: ReadonlyArray<readonly [what: string, statement: string]> = [
  ["a property that is missing", `await api.auth.sendOtp({})`],
  ["a property of another type", `await api.chatroom.sendMessage(id, { content: 7 })`],
  ["a body that is missing", `await api.chatroom.sendMessage(id)`],
  ["a word that is none of those there are", `await api.auth.logout({ scope: "everything" })`],
  ["a parameter of another type", `await api.chatroom.listChatrooms({ limit: "10" })`],
  ["a parameter that is not there", `await api.chatroom.listChatrooms({ size: 10 })`],
  ["an operation that is not there", `await api.chatroom.renameChatroom(id)`],
  ["null taken for a value", `(await api.user.getMe()).data.name.length`],
  ["a member that an answer has not", `(await api.user.getMe()).data.password`],
  ["absent taken for there", `(await api.auth.sendOtp({ mobile: "+919876543210" })).data.otp.length`],
  ["a status that no message has", `(await api.chatroom.getMessage(id, id)).data.status === "done"`],
  ["a code that no refusal has", `(await api.user.getMe()).error.code === "forbidden"`],
  ["a refusal's member without its code", `(await api.chatroom.sendMessage(id, { content: "?" })).error.upgradeUrl`]
]

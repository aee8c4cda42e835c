/** A program that uses the client generated from openapi.json. It prints its results as JSON. */
export const flow = `
import { Api, type HttpResponse } from "./Api.js"

const [baseUrl = "", mobile = ""] = process.argv.slice(2)
const bearer = (token: string | null) => (token === null ? {} : { headers: { Authorization: \`Bearer \${token}\` } })
const api = new Api<string>({ baseUrl, securityWorker: bearer })
const seen: Record<string, unknown> = {}

/** The typed refusal of a request: the client throws responses that are not 2xx. */
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

/** Wrong uses of the client, which its types must reject. */
export const wrong: ReadonlyArray<readonly [what: string, statement: string]> = [
  ["a missing property", `await api.auth.sendOtp({})`],
  ["a property of another type", `await api.chatroom.sendMessage(id, { content: 7 })`],
  ["a missing body", `await api.chatroom.sendMessage(id)`],
  ["a value that the enum lacks", `await api.auth.logout({ scope: "everything" })`],
  ["a parameter of another type", `await api.chatroom.listChatrooms({ limit: "10" })`],
  ["an unknown parameter", `await api.chatroom.listChatrooms({ size: 10 })`],
  ["an unknown operation", `await api.chatroom.renameChatroom(id)`],
  ["a nullable value used as a value", `(await api.user.getMe()).data.name.length`],
  ["an unknown member of a response", `(await api.user.getMe()).data.password`],
  ["an optional value used as a value", `(await api.auth.sendOtp({ mobile: "+919876543210" })).data.otp.length`],
  ["an unknown status of a message", `(await api.chatroom.getMessage(id, id)).data.status === "done"`],
  ["an unknown code of a refusal", `(await api.user.getMe()).error.code === "forbidden"`],
  ["a refusal's member without its code", `(await api.chatroom.sendMessage(id, { content: "?" })).error.upgradeUrl`]
]

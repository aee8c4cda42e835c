/**
 * The usual stack in place of the product: Fastify, JWT with a cache of verified tokens, sessions and room lists in Redis,
 * the rest in Postgres, and BullMQ for the replies. It gives what the product gives, in its own words: a transaction with
 * the idempotency key and the exact quota of the day, and a job that a sweep adds again should Redis lose it.
 */
import { createHash } from "node:crypto"
import { Queue } from "bullmq"
import { createVerifier } from "fast-jwt"
import Fastify, { type FastifyReply, type FastifyRequest } from "fastify"
import { Redis } from "ioredis"
import { v7 as uuid } from "uuid"
import { lostReplies, openPool, queueName } from "./database.ts"

interface Claims {
  readonly sub: string
  readonly sid: string
}

/** A session with its user, as it is kept in Redis. */
export interface StoredSession {
  readonly mobile: string
  readonly name: string | null
  readonly email: string | null
  readonly tier: "basic" | "pro"
  readonly hasPassword: boolean
  readonly createdAt: string
}

const { DAILY_PROMPTS = "", JWT_SECRET = "", REDIS_URL = "" } = process.env
const dailyPrompts = Number(DAILY_PROMPTS)
/** Unfinished questions that a room may have. */
const roomLimit = 4
const sweepMillis = 15_000

const pool = openPool()
const redis = new Redis(REDIS_URL, { enableAutoPipelining: true })
const queue = new Queue(queueName, {
  connection: new Redis(REDIS_URL, { enableAutoPipelining: true, maxRetriesPerRequest: null }),
  defaultJobOptions: { attempts: 5, backoff: { type: "exponential", delay: 1_000 }, removeOnComplete: true }
})
const verify = createVerifier<string>({
  key: Buffer.from(JWT_SECRET, "base64"),
  algorithms: ["HS256"],
  allowedIss: "chat-backend",
  allowedAud: "chat-backend-api",
  cache: 20_000,
  // The default hashes every token at every look-up.
  cacheKeyBuilder: (token) => String(token)
})

const unauthenticated = (reply: FastifyReply) => reply.code(401).send({ code: "unauthenticated" })

/** The claims of the request's token; undefined when it has no valid one. */
const claimsOf = ({ headers }: FastifyRequest): Claims | undefined => {
  const { authorization = "" } = headers
  if (!authorization.startsWith("Bearer ")) return undefined
  try {
    const claims: Claims = verify(authorization.slice(7))
    return claims
  } catch {
    return undefined
  }
}
const sessionKey = ({ sid }: Claims) => `session:${sid}`
const listKey = (userId: string) => `rooms:${userId}`

const nullable = (type: string) => ({ type, nullable: true })
const quotaSchema = {
  type: "object",
  properties: {
    limit: nullable("integer"),
    used: { type: "integer" },
    remaining: nullable("integer"),
    resetsAt: { type: "string" },
    budget: { type: "null" }
  }
}
const meSchema = {
  type: "object",
  properties: {
    id: { type: "string" },
    mobile: { type: "string" },
    name: nullable("string"),
    email: nullable("string"),
    status: { type: "string" },
    tier: { type: "string" },
    hasPassword: { type: "boolean" },
    createdAt: { type: "string" },
    quota: quotaSchema,
    budget: { type: "null" }
  }
}
const messageSchema = {
  type: "object",
  properties: {
    id: { type: "string" },
    chatroomId: { type: "string" },
    role: { type: "string" },
    content: { type: "string" },
    status: { type: "string" },
    replyTo: nullable("string"),
    createdAt: { type: "string" },
    completedAt: nullable("string")
  }
}
const sendSchema = {
  params: { type: "object", properties: { id: { type: "string", format: "uuid" } } },
  body: {
    type: "object",
    required: ["content"],
    properties: { content: { type: "string", minLength: 1, maxLength: 32_000, pattern: "\\S" } }
  },
  response: { 202: { type: "object", properties: { message: messageSchema, reply: messageSchema, quota: quotaSchema } } }
}

const dayMillis = 86_400_000
const quotaOf = (used: number) => ({
  limit: dailyPrompts,
  used,
  remaining: Math.max(0, dailyPrompts - used),
  resetsAt: new Date((Math.floor(Date.now() / dayMillis) + 1) * dayMillis).toISOString(),
  budget: null
})

const server = Fastify({ logger: false, keepAliveTimeout: 120_000, bodyLimit: 256 * 1024 })

/** The list from the database, for the first read after a change. */
const readList = async (userId: string): Promise<string> => {
  const { rows } = await pool.query({
    name: "rooms",
    text: `select id, title, created_at as "createdAt", last_message_at as "lastMessageAt" from chatrooms
           where user_id = $1 order by last_message_at desc, id desc limit 21`,
    values: [userId]
  })
  const list = JSON.stringify({ data: rows.slice(0, 20), hasMore: rows.length > 20 })
  await redis.set(listKey(userId), list, "EX", 3_600)
  return list
}

server.get("/chatroom", async (request, reply) => {
  const claims = claimsOf(request)
  if (claims === undefined) return unauthenticated(reply)
  // Both in one round trip, with those of other requests.
  const [session, list] = await Promise.all([redis.exists(sessionKey(claims)), redis.getBuffer(listKey(claims.sub))])
  if (session === 0) return unauthenticated(reply)
  reply.header("content-type", "application/json; charset=utf-8").header("cache-control", "private, no-cache")
  return reply.send(list ?? (await readList(claims.sub)))
})

server.get("/user/me", { schema: { response: { 200: meSchema } } }, async (request, reply) => {
  const claims = claimsOf(request)
  if (claims === undefined) return unauthenticated(reply)
  const [stored, usage] = await Promise.all([
    redis.get(sessionKey(claims)),
    pool.query<{ used: number }>({
      name: "usage",
      text: "select used from usage_daily where user_id = $1 and day = (now() at time zone 'utc')::date",
      values: [claims.sub]
    })
  ])
  if (stored === null) return unauthenticated(reply)
  const user: StoredSession = JSON.parse(stored)
  reply.header("cache-control", "no-store")
  return { id: claims.sub, ...user, status: "active", quota: quotaOf(usage.rows[0]?.used ?? 0), budget: null }
})

interface Sent {
  readonly questionId: string
  readonly replyId: string
  readonly sentAt: string
}

const accepted = ({ questionId, replyId, sentAt }: Sent, chatroomId: string, content: string, used: number) => ({
  message: {
    id: questionId,
    chatroomId,
    role: "user",
    content,
    status: "completed",
    replyTo: null,
    createdAt: sentAt,
    completedAt: sentAt
  },
  reply: {
    id: replyId,
    chatroomId,
    role: "model",
    content: "",
    status: "queued",
    replyTo: questionId,
    createdAt: sentAt,
    completedAt: null
  },
  quota: quotaOf(used)
})

/** Room, key, quota and both messages in one statement of the transaction; what could not be taken rolls everything back. */
const sendStatement = `
  with room as (
    update chatrooms set unfinished = unfinished + 1, last_message_at = now()
    where id = $2 and user_id = $1 and unfinished < $3 returning id
  ), key as (
    insert into idempotency_keys (user_id, key, request_hash, response)
    select $1, $4, $5, $6::json where $4::text is not null on conflict do nothing returning 1
  ), usage as (
    insert into usage_daily as d (user_id, day, used) values ($1, (now() at time zone 'utc')::date, 1)
    on conflict (user_id, day) do update set used = d.used + 1 where d.used < $7 returning used
  ), stored as (
    insert into messages (id, chatroom_id, user_id, role, content, status, reply_to, created_at, completed_at)
    select m.id, room.id, $1, m.role, m.content, m.status, m.reply_to, $11::timestamptz, m.completed_at
    from room, (values
      ($8::uuid, 'user', $9::text, 'completed', null::uuid, $11::timestamptz),
      ($10::uuid, 'model', '', 'queued', $8::uuid, null)
    ) as m (id, role, content, status, reply_to, completed_at)
  )
  select (select count(*) from room)::int as room, (select count(*) from key)::int as key, (select used from usage) as used
`

const commitSend = async (userId: string, roomId: string, content: string, key: string | null, hash: string, sent: Sent) => {
  const client = await pool.connect()
  try {
    // In pipeline mode both go out together.
    const begun = client.query("begin")
    const stored = client.query<{ room: number; key: number; used: number | null }>({
      name: "send",
      text: sendStatement,
      values: [
        userId,
        roomId,
        roomLimit,
        key,
        hash,
        JSON.stringify(sent),
        dailyPrompts,
        sent.questionId,
        content,
        sent.replyId,
        sent.sentAt
      ]
    })
    const [, { rows }] = await Promise.all([begun, stored])
    const [row = { room: 0, key: 0, used: null }] = rows
    const isAccepted = row.room === 1 && row.used !== null && (key === null || row.key === 1)
    await client.query(isAccepted ? "commit" : "rollback")
    client.release()
    return { isAccepted, ...row }
  } catch (error) {
    client.release(true)
    throw error
  }
}

server.post<{ Params: { readonly id: string }; Body: { readonly content: string } }>(
  "/chatroom/:id/message",
  { schema: sendSchema },
  async (request, reply) => {
    const claims = claimsOf(request)
    if (claims === undefined) return unauthenticated(reply)
    const { body, headers, params } = request
    if ((await redis.exists(sessionKey(claims))) === 0) return unauthenticated(reply)
    const given = headers["idempotency-key"]
    const key = typeof given === "string" ? given : null
    const hash = key === null ? "" : createHash("sha256").update(params.id).update("\0").update(body.content).digest("base64url")
    const sent: Sent = { questionId: uuid(), replyId: uuid(), sentAt: new Date().toISOString() }
    const outcome = await commitSend(claims.sub, params.id, body.content, key, hash, sent)
    if (outcome.isAccepted) {
      await Promise.all([
        queue.add("reply", { replyId: sent.replyId }, { jobId: sent.replyId }),
        redis.del(listKey(claims.sub))
      ]).catch(() => undefined) // the sweep adds the job again
      reply.code(202).header("cache-control", "no-store")
      return accepted(sent, params.id, body.content, outcome.used ?? 0)
    }
    if (key !== null && outcome.key === 0) return replay(claims.sub, params.id, body.content, key, hash, reply)
    if (outcome.room === 0) return reply.code(404).send({ code: "chatroom_not_found_or_busy" })
    return reply.code(429).send({ code: "quota_exceeded" })
  }
)

const replay = async (userId: string, roomId: string, content: string, key: string, hash: string, reply: FastifyReply) => {
  const { rows } = await pool.query<{ request_hash: string; response: Sent }>({
    name: "replay",
    text: "select request_hash, response from idempotency_keys where user_id = $1 and key = $2",
    values: [userId, key]
  })
  const [row] = rows
  if (row === undefined || row.request_hash !== hash) return reply.code(422).send({ code: "idempotency_key_reused" })
  return reply
    .code(202)
    .header("idempotency-replayed", "true")
    .send(accepted(row.response, roomId, content, 0))
}

setInterval(() => {
  void pool
    .query<{ id: string }>(lostReplies)
    .then(({ rows }) => queue.addBulk(rows.map(({ id }) => ({ name: "reply", data: { replyId: id }, opts: { jobId: id } }))))
    .catch(console.error)
}, sweepMillis)

process.once("SIGTERM", () => process.exit(0))
console.log(`ready ${await server.listen({ port: 0, host: "127.0.0.1" })}`)

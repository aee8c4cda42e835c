/** The worker of the usual stack: BullMQ, Google's SDK, and one transaction at the end of a reply. */
import { GoogleGenAI } from "@google/genai"
import { Worker } from "bullmq"
import { Redis } from "ioredis"
import { v7 as uuid } from "uuid"
import { openPool, queueName } from "./database.ts"

const { GEMINI_BASE_URL = "", MODEL = "", REDIS_URL = "", WORKER_CONCURRENCY = "" } = process.env
/** Milliseconds between two publications of a reply's text. */
const publishMillis = 25

const pool = openPool()
const redis = new Redis(REDIS_URL, { enableAutoPipelining: true })
const gemini = new GoogleGenAI({ apiKey: "simulated", httpOptions: { baseUrl: GEMINI_BASE_URL } })

interface Turn {
  readonly role: string
  readonly content: string
}

interface Claimed {
  readonly attempt: number
  readonly chatroom_id: string
  readonly user_id: string
  readonly turns: ReadonlyArray<Turn>
}

/** Takes the reply, with the room's last messages up to its question. */
const claimStatement = `
  with claimed as (
    update messages set status = 'processing', attempt = attempt + 1, started_at = coalesce(started_at, now())
    where id = $1 and completed_at is null returning chatroom_id, user_id, reply_to, attempt
  )
  select c.attempt, c.chatroom_id, c.user_id, (
    select json_agg(json_build_object('role', t.role, 'content', t.content) order by t.id) from (
      select m.id, m.role, m.content from messages m
      where m.chatroom_id = c.chatroom_id and m.id <= c.reply_to and m.status = 'completed' order by m.id desc limit 40
    ) t
  ) as turns
  from claimed c
`

/** The reply, its room, the day's tokens and the call of the model; fenced by the attempt. */
const finishStatement = `
  with done as (
    update messages set status = 'completed', content = $3, finish_reason = $4, model = $5, prompt_tokens = $6,
      reply_tokens = $7, completed_at = now()
    where id = $1 and status = 'processing' and attempt = $2 returning chatroom_id, user_id
  ), room as (
    update chatrooms c set unfinished = c.unfinished - 1 from done where c.id = done.chatroom_id
  ), usage as (
    update usage_daily d set prompt_tokens = d.prompt_tokens + $6, reply_tokens = d.reply_tokens + $7
    from done where d.user_id = done.user_id and d.day = (now() at time zone 'utc')::date
  )
  insert into model_calls (id, reply_id, attempt, model, prompt_tokens, reply_tokens)
  select $8, $1, $2, $5, $6, $7 from done
`

/** Publishes a reply's text for those who follow it, many pieces at a time. */
const publisher = (replyId: string) => {
  let pending = ""
  let timer: NodeJS.Timeout | undefined
  const publish = () => {
    timer = undefined
    void redis.publish(`reply:${replyId}`, JSON.stringify({ text: pending })).catch(() => undefined)
    pending = ""
  }
  return {
    add: (text: string) => {
      pending += text
      timer ??= setTimeout(publish, publishMillis)
    },
    end: (status: string) => {
      clearTimeout(timer)
      return redis.publish(`reply:${replyId}`, JSON.stringify({ text: pending, status }))
    }
  }
}

const answer = async (replyId: string): Promise<void> => {
  const { rows } = await pool.query<Claimed>({ name: "claim", text: claimStatement, values: [replyId] })
  const [claimed] = rows
  if (claimed === undefined) return
  const stream = await gemini.models.generateContentStream({
    model: MODEL,
    contents: claimed.turns.map(({ content, role }) => ({ role, parts: [{ text: content }] })),
    config: { maxOutputTokens: 8192 }
  })
  const published = publisher(replyId)
  let text = ""
  let finishReason: string | undefined
  let promptTokens = 0
  let replyTokens = 0
  for await (const { candidates, text: piece = "", usageMetadata } of stream) {
    text += piece
    if (piece !== "") published.add(piece)
    finishReason = candidates?.[0]?.finishReason ?? finishReason
    promptTokens = usageMetadata?.promptTokenCount ?? promptTokens
    replyTokens = usageMetadata?.candidatesTokenCount ?? replyTokens
  }
  if (finishReason === undefined) throw new Error("the answer was cut off")
  await pool.query({
    name: "finish",
    text: finishStatement,
    values: [replyId, claimed.attempt, text, finishReason, MODEL, promptTokens, replyTokens, uuid()]
  })
  await published.end("completed")
}

const worker = new Worker<{ readonly replyId: string }>(queueName, ({ data }) => answer(data.replyId), {
  connection: new Redis(REDIS_URL, { enableAutoPipelining: true, maxRetriesPerRequest: null }),
  concurrency: Number(WORKER_CONCURRENCY)
})
worker.on("failed", (_, error) => console.error(error))
worker.on("error", (error) => console.error(error))
process.once("SIGTERM", () => process.exit(0))
await worker.waitUntilReady()
console.log("Working")

import type { TestDatabase } from "../support/Database.ts"

/** A reply as it is in the database. */
export type ReplyRow = {
  readonly id: string
  readonly user_id: string
  readonly chatroom_id: string
  readonly status: string
  readonly content: string
  readonly attempt: number
  readonly error_code: string | null
  readonly quota_state: string
  readonly cost_micros: string | null
  readonly worker_id: string | null
  readonly question: string
  readonly started_at: Date | null
  readonly completed_at: Date | null
  /** Changes with every write to the row. */
  readonly version: string
}

export const repliesOf = (database: Pick<TestDatabase, "query">) =>
  database.query<ReplyRow>(`
    select r.*, q.content as question, r.xmin::text as version
    from messages r join messages q on q.user_id = r.user_id and q.id = r.reply_to
    where r.role = 'model' order by r.user_id, r.chatroom_id, r.reply_to
  `)

export const replyOf = async (database: Pick<TestDatabase, "query">, id: string): Promise<ReplyRow> => {
  const reply = (await repliesOf(database)).find((row) => row.id === id)
  if (reply === undefined) throw new Error(`no reply ${id}`)
  return reply
}

/** Checks what must hold when all work is done, and describes each violation. */
export const violatedInvariants = async (database: Pick<TestDatabase, "query">): Promise<Array<string>> => {
  const replies = await repliesOf(database)
  const broken: Array<string> = []
  for (const { id, status, completed_at } of replies) {
    if (!["completed", "failed"].includes(status) || completed_at === null) broken.push(`reply ${id} is ${status}`)
  }

  const halfEnded = await database.query<{ id: string; status: string }>(`
    select id, status from messages
    where (completed_at is null) <> (status in ('held', 'queued', 'processing', 'waiting'))
  `)
  broken.push(...halfEnded.map(({ id, status }) => `message ${id} is ${status}, and its end says otherwise`))

  const doubled = await database.query<{ id: string; replies: number }>(`
    select q.id, count(r.id)::int as replies from messages q left join messages r on r.user_id = q.user_id and r.reply_to = q.id
    where q.role = 'user' group by q.id having count(r.id) <> 1
  `)
  broken.push(...doubled.map(({ id, replies }) => `question ${id} has ${replies} replies`))

  const stuck = await database.query<{ id: string; unfinished: number }>(
    "select id, unfinished from chatrooms where unfinished <> 0"
  )
  broken.push(...stuck.map(({ id, unfinished }) => `room ${id} counts ${unfinished} unfinished`))

  const quota = await database.query<{ id: string; used: number; accepted: number; refunded: number }>(`
    select u.id, d.used, count(m.id)::int as accepted, count(m.id) filter (where m.quota_state = 'refunded')::int as refunded
    from users u join usage_daily d on d.quota_key = u.quota_key join messages m on m.user_id = u.id and m.role = 'model' and m.quota_day = d.day
    group by u.id, d.used
  `)
  for (const { id, used, accepted, refunded } of quota) {
    if (used !== accepted - refunded) broken.push(`user ${id}: ${used} used of ${accepted} accepted and ${refunded} refunded`)
  }

  for (const [index, reply] of replies.entries()) {
    const before = replies[index - 1]
    if (before?.chatroom_id !== reply.chatroom_id) continue
    if ((reply.started_at ?? 0) < (before.completed_at ?? 0)) broken.push(`reply ${reply.id} began before ${before.id} had ended`)
  }
  return broken
}

type Job = {
  readonly locked_by: string | null
  readonly key: string | null
  readonly attempts: number
  readonly max_attempts: number
}

export const jobs = (database: Pick<TestDatabase, "query">) =>
  database.query<Job>("select locked_by, key, attempts, max_attempts from graphile_worker.jobs")

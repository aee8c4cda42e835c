import { Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Chatrooms } from "../chat/Chatrooms.ts"
import { titleOf } from "../chat/Titles.ts"
import { AppConfig } from "../config/Settings.ts"
import type { Prompt } from "../gemini/Prompt.ts"
import { Spending } from "../models/Spending.ts"
import { estimateTokens } from "../models/TokenEstimate.ts"
import { jobSpan } from "../ops/Tracing.ts"
import { titleTask, type TitleWakeup } from "../queue/Announcer.ts"
import type { AttemptCalls } from "./AttemptCalls.ts"
import { makeSideCall, type Payer } from "./SideCall.ts"
import { Moderation } from "./Moderation.ts"

const instruction = "Name the topic in 2 to 6 words, in the question's language. Only the title."
/** Of the question, for the model. */
const maximumCharacters = 2_000
/** Thoughts count, so that a smaller bound may leave no token for the title. */
const maximumTokens = 512
/** Characters of an answer that are read: a longer one is no title. */
const maximumAnswer = 10_000
const maximumTries = 2
const tryTimeout = "30 seconds"
/** Milliseconds before the second try; Google may ask for more. */
const pause = { shortest: 2_000, longest: 30_000 }

/** What a title is asked for. */
interface Asked extends Payer {
  readonly content: string
}

/** The request for the title of a room whose first question begins so. */
export const titlePrompt = (model: string, thinkingLevel: Prompt["thinkingLevel"], content: string): Prompt => ({
  model,
  systemPrompt: instruction,
  temperature: null,
  maxOutputTokens: maximumTokens,
  thinkingLevel,
  turns: [{ role: "user", text: content.toWellFormed() }]
})

/** Names rooms by their first question, beside its reply. A room whose title cannot be made keeps the question's words. */
export class TitleMaker extends Context.Service<
  TitleMaker,
  {
    /** Asks for the title, unless the user has chosen one or has no money left. */
    readonly make: (room: TitleWakeup) => Effect.Effect<void>
  }
>()("chat-backend/replies/TitleMaker") {
  static readonly layer = Layer.effect(
    TitleMaker,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const chatrooms = yield* Chatrooms
      const moderation = yield* Moderation
      const spending = yield* Spending
      const { autoTitles, titleModel } = yield* AppConfig
      const sideCall = yield* makeSideCall({
        kind: "title",
        model: titleModel,
        maximumTokens,
        maximumAnswer,
        timeout: tryTimeout
      })

      const find = ({ questionId, roomId, userId }: TitleWakeup) => sql<Asked>`
        select left(q.content, ${maximumCharacters}) as content, u.quota_key,
          tier_of(u) as tier,
          coalesce(d.cost_micros + d.reserved_micros, 0)::float8 as spent, clock_timestamp() as started_at
        from chatrooms c
          join users u on u.id = c.user_id
          join messages q on q.user_id = c.user_id and q.chatroom_id = c.id and q.id = ${questionId}
          left join usage_daily d on d.quota_key = u.quota_key and d.day = (clock_timestamp() at time zone 'utc')::date
        where c.user_id = ${userId} and c.id = ${roomId} and c.title_source in ('default', 'words')
      `

      const hasMoney = (asked: Asked): boolean =>
        sideCall.hasMoney(asked, estimateTokens(instruction) + estimateTokens(asked.content))

      const read = (text: string, finishReason: string | undefined) => (finishReason === "STOP" ? titleOf(text) : undefined)

      const ask = Effect.fnUntraced(function* (prompt: Prompt, calls: AttemptCalls, startedAt: Date) {
        for (let tries = 1; ; tries++) {
          const asked = yield* Effect.result(sideCall.answer(prompt, calls, startedAt, read))
          if (asked._tag === "Success") return asked.success
          const { kind, retryAfter = 0 } = asked.failure
          const isFinal = tries === maximumTries || kind === "misconfigured" || kind === "daily_quota"
          if (isFinal || retryAfter > pause.longest) {
            yield* Effect.logWarning("No title was made; the room keeps the first words of its question", asked.failure)
            return undefined
          }
          yield* Effect.sleep(Duration.millis(Math.max(pause.shortest, retryAfter)))
        }
      })

      const make: TitleMaker["Service"]["make"] = Effect.fnUntraced(
        function* (room) {
          if (autoTitles !== "model") return
          const [asked] = yield* find(room).pipe(Effect.orDie)
          if (asked === undefined || !hasMoney(asked)) return
          if ((yield* Effect.result(spending.check))._tag === "Failure") return
          const content = asked.content.toWellFormed()
          // The reply's own check may run at the same time in another process.
          const checked = yield* Effect.result(
            moderation.check({ text: content, replyId: room.replyId, quotaKey: asked.quotaKey })
          )
          if (checked._tag === "Failure" || !checked.success.allow) return
          const promptTokens = estimateTokens(instruction) + estimateTokens(content)
          const prompt = titlePrompt(titleModel, sideCall.thinkingLevel, content)
          const title = yield* sideCall.recorded(room, asked, promptTokens, (calls) => ask(prompt, calls, asked.startedAt))
          if (title !== undefined) yield* chatrooms.nameByModel(room.userId, room.roomId, title)
        },
        (effect, { roomId, traceparent }) =>
          Effect.annotateLogs(effect, { roomId }).pipe(jobSpan("TitleMaker.make", titleTask, traceparent))
      )

      return TitleMaker.of({ make })
    })
  )
}

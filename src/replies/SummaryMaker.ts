import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { AppConfig } from "../config/Settings.ts"
import type { Prompt } from "../gemini/Prompt.ts"
import { Spending } from "../models/Spending.ts"
import { estimateTokens } from "../models/TokenEstimate.ts"
import { Announcer, type SummaryWakeup } from "../queue/Announcer.ts"
import { makeSideCall, type Payer } from "./SideCall.ts"
import { summaryStep } from "./PromptSummary.ts"
import { type ExchangeTexts, type LeftOut, type SummaryClaim, SummaryStore } from "./SummaryStore.ts"

const instruction = `Summarize the earlier part of a conversation for the assistant that continues it.
Keep decisions, constraints, facts, names, numbers and open questions, in the user's own terms and language.
Keep instructions of the user word for word. Go on from the summary so far, if there is one, and lose nothing of it that still matters.
At most 600 words. Only the summary.`
/** Bytes of UTF-8 that a summary has at most, which count as 1,000 tokens. */
const maximumBytes = 4_000
/** Thoughts count, so that a smaller bound may leave no token for the summary. */
const maximumTokens = 2_048
/** Tokens of exchanges in one call, if the first of them has not more. */
const maximumStep = 16_000
/** Characters of an answer that are read. */
const maximumAnswer = 20_000
const timeout = "60 seconds"

/** The oldest exchanges that one call takes: more than a step, and then as many as a call may have. */
export const nextStep = (leftOut: ReadonlyArray<LeftOut>): ReadonlyArray<LeftOut> => {
  let sum = 0
  const end = leftOut.findIndex(({ tokens }) => {
    if (sum > summaryStep && sum + tokens > maximumStep) return true
    sum += tokens
    return false
  })
  return end === -1 ? leftOut : leftOut.slice(0, end)
}

const textOf = ({ answer, files, question }: ExchangeTexts): string =>
  [...files.map((name) => `[file: ${name}]`), `User: ${question}`, "", `Assistant: ${answer}`].join("\n")

/** The request for a summary of the exchanges, and of what the summary so far says. */
export const summaryPrompt = (
  model: string,
  thinkingLevel: Prompt["thinkingLevel"],
  soFar: string | null,
  exchanges: ReadonlyArray<ExchangeTexts>
): Prompt => ({
  model,
  systemPrompt: instruction,
  temperature: null,
  maxOutputTokens: maximumTokens,
  thinkingLevel,
  turns: [
    {
      role: "user",
      text: [...(soFar === null ? [] : [`Summary so far:\n${soFar}`]), ...exchanges.map(textOf)].join("\n\n").toWellFormed()
    }
  ]
})

/** What a model wrote as a summary, cut where a line, a sentence or a word ends; undefined when it is empty. */
export const summaryOf = (answer: string): string | undefined => {
  const whole = answer.toWellFormed().replaceAll("\u0000", "").trim()
  if (Buffer.byteLength(whole) <= maximumBytes) return whole === "" ? undefined : whole
  const start = Buffer.from(whole)
    .subarray(0, maximumBytes)
    .toString()
    .replace(/\ufffd+$/u, "")
  const ends = [/^[^]*\n/u, /^[^]*[.!?。！？](?=\s|$)/u, /^[^]*\s/u].map((end) => end.exec(start)?.[0].trimEnd() ?? "")
  return ends.find((text) => text.length > start.length / 2) ?? start
}

/** Summarises what a long room's prompts leave out, after a reply. Without a summary they leave it out. */
export class SummaryMaker extends Context.Service<
  SummaryMaker,
  {
    /** Makes a new summary, unless another job does, the user has no money left, or the room rests. */
    readonly make: (room: SummaryWakeup) => Effect.Effect<void>
  }
>()("chat-backend/replies/SummaryMaker") {
  static readonly layer = Layer.effect(
    SummaryMaker,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const announcer = yield* Announcer
      const spending = yield* Spending
      const summaries = yield* SummaryStore
      const { summaryModel } = yield* AppConfig
      const sideCall = yield* makeSideCall({ kind: "summary", model: summaryModel, maximumTokens, maximumAnswer, timeout })

      const findPayer = ({ roomId, userId }: SummaryWakeup) => sql<Payer>`
        select u.quota_key, tier_of(u) as tier,
          coalesce(d.cost_micros + d.reserved_micros, 0)::float8 as spent, clock_timestamp() as started_at
        from chatrooms c
          join users u on u.id = c.user_id
          left join usage_daily d on d.quota_key = u.quota_key and d.day = (clock_timestamp() at time zone 'utc')::date
        where c.user_id = ${userId} and c.id = ${roomId}
      `

      const read = (text: string, finishReason: string | undefined) =>
        finishReason === "STOP" || finishReason === "MAX_TOKENS" ? summaryOf(text) : undefined

      /** Asks for the summary under the claim, and stores it. */
      const makeClaimed = Effect.fnUntraced(function* (room: SummaryWakeup, payer: Payer, claim: SummaryClaim) {
        const leftOut = yield* summaries.leftOut(claim, room.replyId)
        const [first] = leftOut
        if (first === undefined || first.total <= summaryStep) return yield* summaries.release(claim, false)
        const step = nextStep(leftOut)
        const soFar = first.follows ? claim : { text: null, firstId: null }
        const prompt = summaryPrompt(summaryModel, sideCall.thinkingLevel, soFar.text, yield* summaries.textsOf(claim, step))
        const promptTokens = prompt.turns.reduce((sum, { text }) => sum + estimateTokens(text), estimateTokens(instruction))
        if (!sideCall.hasMoney(payer, promptTokens)) return yield* summaries.release(claim, false)
        const answered = sideCall.recorded(room, payer, promptTokens, (calls) =>
          sideCall.answer(prompt, calls, payer.startedAt, read)
        )
        const asked = yield* Effect.result(answered)
        if (asked._tag === "Failure") {
          yield* Effect.logWarning("No summary was made", asked.failure)
          return yield* summaries.release(claim, true)
        }
        const isStored = yield* summaries.store(claim, {
          upTo: step.at(-1)?.answerId ?? first.answerId,
          firstId: soFar.firstId ?? first.questionId,
          text: asked.success,
          tokens: estimateTokens(asked.success),
          model: summaryModel
        })
        const rest = first.total - step.reduce((sum, { tokens }) => sum + tokens, 0)
        if (isStored && rest > summaryStep) yield* announcer.announce({ summaries: [room] })
      })

      const make: SummaryMaker["Service"]["make"] = Effect.fn("SummaryMaker.make")(
        function* (room) {
          const [payer] = yield* findPayer(room).pipe(Effect.orDie)
          if (payer === undefined || !sideCall.hasMoney(payer, summaryStep)) return
          if ((yield* Effect.result(spending.check))._tag === "Failure") return
          const claim = yield* summaries.claim(room)
          if (claim === undefined) return
          yield* makeClaimed(room, payer, claim).pipe(Effect.onInterrupt(() => summaries.release(claim, false)))
        },
        (effect, { roomId }) => Effect.annotateLogs(effect, { roomId })
      )

      return SummaryMaker.of({ make })
    })
  )
}

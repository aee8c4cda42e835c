import { createHash } from "node:crypto"
import { Clock, Effect } from "effect"
import type { CurrentSession } from "../api/auth/User.ts"
import type { CreateCompletion } from "../api/openai/Completion.ts"
import { ModelNotFound } from "../api/openai/CompletionErrors.ts"
import { Sending } from "../chat/Sending.ts"
import { Models } from "../models/Models.ts"
import { estimateTokens } from "../models/TokenEstimate.ts"
import { checkParameters, invalid, paramOfSetting, settingsOf } from "./Parameters.ts"
import { makeStoreTurns } from "./StoredTurns.ts"
import { turnsOf } from "./Turns.ts"

const hashOf = (request: CreateCompletion): string => createHash("sha256").update(JSON.stringify(request)).digest("base64url")

/** Makes the function that checks a request and sends it as a question with a history of its own. */
export const makeAcceptCompletion = Effect.gen(function* () {
  const models = yield* Models
  const sending = yield* Sending
  const storeTurns = yield* makeStoreTurns

  /** A model that is not in the user's plan is found: its refusal says where to upgrade. */
  const modelOf = Effect.fnUntraced(function* (id: string, { tier }: CurrentSession) {
    const model = (yield* models.list(tier)).find((known) => known.id === id)
    const isRetired = model?.retiresAt != null && Date.parse(model.retiresAt) <= (yield* Clock.currentTimeMillis)
    if (model === undefined || isRetired) return yield* ModelNotFound.of(id)
    return model
  })

  return Effect.fnUntraced(function* (user: CurrentSession, request: CreateCompletion, key: string | undefined) {
    yield* checkParameters(request)
    const model = yield* modelOf(request.model, user)
    const { before, question, systemPrompt } = yield* turnsOf(request)
    const settings = yield* settingsOf(request, systemPrompt, model)
    const { attachments, tokens, turns } = yield* storeTurns(user, [...before, question])
    const completion = {
      content: question.text,
      input: { turns: turns.slice(0, -1), files: turns.at(-1)?.files ?? [] },
      tokens: tokens + estimateTokens(systemPrompt ?? ""),
      settings,
      attachments,
      idempotencyKey: key,
      hash: hashOf(request)
    }
    return yield* sending.complete(user, completion).pipe(
      Effect.catchTags({
        ValidationFailed: ({ errors: [fault] }) =>
          Effect.fail(invalid(paramOfSetting(fault?.path ?? ""), fault?.message ?? "is not valid")),
        ToolNotInPlan: Effect.die
      })
    )
  })
})

import type { ModelStage, ModelStatus } from "@google/genai"
import { Clock, Effect } from "effect"
import { LRUCache } from "lru-cache"
import { type AnswerEvent, member, nameOf } from "./AnswerEvent.ts"

const maximumModels = 100
const maximumMessage = 300
const day = 86_400_000

/** Stages that a model leaves for good, as the SDK names them. */
const lastStages = ["LEGACY", "DEPRECATED", "RETIRED"] as const satisfies ReadonlyArray<`${ModelStage}`>

/** What Google says of the end of a model. */
export interface EndOfModel extends Pick<ModelStatus, "message" | "retirementTime"> {
  readonly stage?: (typeof lastStages)[number]
}

/** What an event says of the model's end; undefined when it says nothing of it. */
export const endOfModel = (event: AnswerEvent): EndOfModel | undefined => {
  const status = member(event, "modelStatus")
  const stage = lastStages.find((known) => known === member(status, "modelStage"))
  const retirementTime = nameOf(member(status, "retirementTime"))
  if (retirementTime === undefined && stage === undefined) return undefined
  const message = member(status, "message")
  return {
    ...(stage === undefined ? {} : { stage }),
    ...(retirementTime === undefined ? {} : { retirementTime }),
    ...(typeof message === "string" ? { message: message.replaceAll(/[^\x20-\x7e]+/g, " ").slice(0, maximumMessage) } : {})
  }
}

/** Logs what Google says of a model's end, once a day for each model. */
export const makeModelNotices = () => {
  const days = new LRUCache<string, number>({ max: maximumModels })
  return (model: string, { message, retirementTime, stage }: EndOfModel): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const today = Math.floor(now / day)
      if (days.get(model) === today) return Effect.void
      days.set(model, today)
      const facts = [
        ...(stage === undefined ? [] : [`is ${stage}`]),
        ...(retirementTime === undefined ? [] : [`retires at ${retirementTime}`])
      ]
      return Effect.logWarning(`Google says that the model ${model} ${facts.join(" and ")}. ${message ?? ""}`.trim())
    })
}

import { Effect } from "effect"
import type { Tier } from "../api/auth/User.ts"
import type { AskSettings } from "../api/chat/Settings.ts"
import { ToolNotInPlan } from "../api/models/ModelErrors.ts"
import type { Tool } from "../api/models/ModelsApi.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { listFor, listForAny, type Model } from "../config/Models.ts"
import type { Settings } from "../config/Settings.ts"
import type { ReplySettings, RoomSettings } from "./Settings.ts"

/** Queries that the estimate of a reply with search holds: the model decides how many it makes. */
export const estimatedSearches = 4

/** Which tools a model has for whom. */
export const makeTools = ({ frontEnd }: Pick<Settings, "frontEnd">) => {
  const toolsOf = ({ tools }: Model, tier: Tier): ReadonlyArray<Tool> => listFor(tools, tier)

  /** Why a user of the tier may not use the tool with the model; undefined when it may. */
  const faultOf = (tool: Tool, path: string, model: Model, tier: Tier): ToolNotInPlan | ValidationFailed | undefined => {
    if (toolsOf(model, tier).includes(tool)) return undefined
    return listForAny(model.tools).includes(tool)
      ? new ToolNotInPlan({ tool, upgradeUrl: frontEnd.upgrade })
      : new ValidationFailed({ errors: [{ path, message: `is not a tool of ${model.id}` }] })
  }

  /** Fails when one of the tools is not the model's, or not the tier's. */
  const check = (tools: ReadonlyArray<Tool>, path: string, model: Model, tier: Tier) => {
    const fault = tools.map((tool, index) => faultOf(tool, `${path}/${index}`, model, tier)).find((found) => found !== undefined)
    return fault === undefined ? Effect.void : Effect.fail(fault)
  }

  /**
   * The tools of a reply: the question's, or else the room's. A tool of the room that the model does not have is skipped,
   * because the room's model may have been replaced; one that is not in the user's plan fails.
   */
  const settle = Effect.fnUntraced(function* (asked: AskSettings, room: RoomSettings, model: Model, tier: Tier) {
    const tools = asked.tools ?? room.tools
    const faults = tools.map((tool, index) => faultOf(tool, `/settings/tools/${index}`, model, tier))
    const refusal = faults.find((fault) => fault !== undefined && (asked.tools !== undefined || fault._tag === "ToolNotInPlan"))
    if (refusal !== undefined) return yield* refusal
    const used = tools.filter((_, index) => faults[index] === undefined)
    const skipped = tools.filter((_, index) => faults[index] !== undefined)
    const settled: Pick<ReplySettings, "tools" | "toolsSkipped"> = {
      ...(used.length === 0 ? {} : { tools: used }),
      ...(skipped.length === 0 ? {} : { toolsSkipped: skipped })
    }
    return settled
  })

  return { toolsOf, check, settle }
}

import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"
import { Tier } from "../auth/User.ts"
import { problem, upgradeUrl } from "../Problem.ts"
import { Tool } from "./ModelsApi.ts"

export class ModelNotInPlan extends HttpApiError.Problem<ModelNotInPlan>()(
  "ModelNotInPlan",
  ...problem("model_not_in_plan", 403, "The model is not in the user's plan", {
    model: Schema.String.annotate({ description: "The model.", examples: ["gemini-3.1-pro-preview"] }),
    requiredTier: Tier.annotate({ description: "The tier that has the model.", examples: ["pro"] }),
    ...upgradeUrl
  })
) {}

export class ToolNotInPlan extends HttpApiError.Problem<ToolNotInPlan>()(
  "ToolNotInPlan",
  ...problem("tool_not_in_plan", 403, "The tool is not in the user's plan", {
    tool: Tool.annotate({ description: "The tool.", examples: ["search"] }),
    ...upgradeUrl
  })
) {}

import { Layer } from "effect"
import { ClientIds } from "./ClientIds.ts"
import { QuestionFiles } from "./QuestionFiles.ts"
import { UiChat } from "./UiChat.ts"

/** The chat as the AI SDK speaks it. */
export const AiSdkLayer = UiChat.layer.pipe(Layer.provide([ClientIds.layer, QuestionFiles.layer]))

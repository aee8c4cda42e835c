import { Context } from "effect"

/** Whether a recovery session may call the endpoint. A recovery session may call no other endpoint. */
export const AllowsRecovery = Context.Reference<boolean>("chat-backend/api/AllowsRecovery", { defaultValue: () => false })

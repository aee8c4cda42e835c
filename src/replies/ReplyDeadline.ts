import { Duration } from "effect"

/** Milliseconds from its first attempt in which every reply ends. */
export const replyDeadline = Duration.toMillis("10 minutes")

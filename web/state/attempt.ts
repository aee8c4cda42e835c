import { messageOf } from "../api/problem.ts"
import { show } from "./announcements.ts"

/** Runs an action of the user; a failure is shown, and undefined is returned. */
export const attempt = async <A>(action: () => Promise<A>): Promise<A | undefined> => {
  try {
    return await action()
  } catch (error) {
    show({ kind: "error", text: messageOf(error) })
    return undefined
  }
}

import type { Effect } from "effect"
import { choice } from "./Reading.ts"

/** Where the process runs, which decides how strict the other settings are. */
export const appEnvironment = choice("APP_ENV", ["development", "test", "production"])

export type Environment = Effect.Success<typeof appEnvironment>

import { Effect, Result } from "effect"
import { adminTokens } from "./AdminTokens.ts"
import { billing, isBillingOn, webhookSecrets } from "./Billing.ts"
import { databases } from "./DatabaseUrl.ts"
import { appEnvironment } from "./Environment.ts"
import { gemini } from "./Gemini.ts"
import { jwtKeys } from "./JwtKeys.ts"
import { moderation } from "./Moderation.ts"
import { codeDelivery } from "./OneTimeCodes.ts"
import { plans } from "./Plans.ts"
import { appUrl } from "./PublicUrls.ts"
import { integer, SettingError } from "./Reading.ts"

/** The settings that a deployment has to make, each read by itself. */
const requirements = Effect.gen(function* () {
  const environment = yield* appEnvironment
  const readings: ReadonlyArray<Effect.Effect<unknown, SettingError>> = [
    databases,
    appUrl(environment, yield* integer("PORT", 0, 65_535)),
    jwtKeys(environment),
    codeDelivery(environment),
    gemini(environment),
    moderation(environment),
    billing(environment),
    ...((yield* isBillingOn(environment)) ? [webhookSecrets(environment)] : []),
    plans(environment),
    adminTokens(environment)
  ]
  const results = yield* Effect.all(readings, { mode: "result" })
  return results.filter(Result.isFailure).map(({ failure }) => failure)
})

/** The failure together with the other required settings that are missing or unusable, each named once. */
export const withOthers = (failure: SettingError) =>
  Effect.flatMap(
    Effect.orElseSucceed(requirements, () => []),
    (found) => {
      const others = new Map(found.map(({ problem, setting }) => [setting, { setting, problem }]))
      others.delete(failure.setting)
      return Effect.fail(others.size === 0 ? failure : new SettingError({ ...failure, others: [...others.values()] }))
    }
  )

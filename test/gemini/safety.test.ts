import { assert, describe, it } from "vitest"
import { callsAbout } from "../support/geminiCalls.ts"
import { awaitEnd } from "../support/messages.ts"
import { startBackends } from "../support/TestBackends.ts"

describe("SAFETY_THRESHOLD", () => {
  for (const [level, threshold] of [
    [undefined, undefined],
    ["default", undefined],
    ["off", "OFF"],
    ["high", "BLOCK_ONLY_HIGH"],
    ["medium", "BLOCK_MEDIUM_AND_ABOVE"],
    ["low", "BLOCK_LOW_AND_ABOVE"]
  ] as const) {
    it(`sends ${threshold ?? "no settings"} when it is ${level ?? "not set"}`, async () => {
      const backends = await startBackends({ LOG_LEVEL: "none", ...(level === undefined ? {} : { SAFETY_THRESHOLD: level }) })
      try {
        const ada = await backends.newUser()
        await awaitEnd(ada, await ada.ask(await ada.room(), "[safety]"))
        const [call] = callsAbout(backends, "[safety]")
        const body = call?.body as { readonly safetySettings?: unknown }
        const categories = ["HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT"]
        assert.deepStrictEqual(
          body.safetySettings,
          threshold === undefined ? undefined : categories.map((name) => ({ category: `HARM_CATEGORY_${name}`, threshold }))
        )
      } finally {
        await backends.stop()
      }
    })
  }
})

import { describe, it } from "@effect/vitest"
import { Cause, Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import { assert } from "vitest"
import { makeRareWarning } from "../../src/ops/RareLog.ts"

describe("a rare warning", () => {
  it.effect("is logged once a minute, and says how many were left out", () => {
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ cause, message }) => {
      lines.push([...[message].flat(), ...cause.reasons.map(() => "cause")].join(" "))
    })
    return Effect.gen(function* () {
      const warn = makeRareWarning()
      for (let count = 0; count < 3; count++) yield* warn("Away", Cause.die("gone"))
      yield* TestClock.adjust("59 seconds")
      yield* warn("Away")
      assert.deepStrictEqual(lines, ["Away cause"])
      yield* TestClock.adjust("1 second")
      yield* warn("Away")
      assert.deepStrictEqual(lines, ["Away cause", "Away (3 more before)"])
    }).pipe(Effect.provide(Logger.layer([logger])))
  })
})

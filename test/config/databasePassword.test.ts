import { ConfigProvider, Effect, Exit, Layer, Redacted } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import { assert, describe, inject, it } from "vitest"
import { freePort } from "../../dev/freePort.ts"
import { AppConfig } from "../../src/config/Settings.ts"
import { redact } from "../../src/ops/LogLine.ts"
import { startProcess } from "../support/Backend.ts"
import { until } from "../support/wait.ts"

/** Between its special characters the password has pieces that appear nowhere else. */
const pieces = ["pq7", "ss7", "wx7", "rd7", "zz7"]
const password = "pq7@ss7:wx7/rd7#%zz7"
const names = ["DATABASE_URL", "DATABASE_DIRECT_URL"] as const

const assertSilent = (output: string) => {
  for (const piece of pieces) assert.notInclude(output, piece)
}

describe("a database password with special characters", () => {
  const read = (url: string) => {
    const provider = ConfigProvider.layer(ConfigProvider.fromUnknown({ APP_ENV: "test", DATABASE_URL: url }))
    return Effect.runPromise(Effect.exit(AppConfig.pipe(Effect.provide(AppConfig.layer.pipe(Layer.provide(provider))))))
  }
  const first = [..."@:/#?%[]\\ &=+;\"'<>^`{|}~!$*(),"]

  it.each(first)("is read as it is meant, or refused without a piece of it: %s", async (character) => {
    const passwords = ["x", ...first].flatMap((other) => [`pq7${character}ss7${other}wx7`, `1${character}2${other}3`])
    for (const raw of passwords) {
      for (const target of ["db.example/chat", "db.example:6432/chat?sslmode=prefer"]) {
        const exit = await read(`postgres://app:${raw}@${target}`)
        if (Exit.isSuccess(exit)) {
          const { database } = exit.value
          assert.deepStrictEqual([database.host, database.username, database.database], ["db.example", "app", "chat"], raw)
          assert.strictEqual(database.password && Redacted.value(database.password), raw)
        } else {
          assertSilent(String(exit.cause))
        }
      }
    }
  })

  it("is read when it is percent-encoded", async () => {
    const exit = await read(`postgres://app:${encodeURIComponent(password)}@db.example/chat`)
    assert.isTrue(Exit.isSuccess(exit))
    if (Exit.isSuccess(exit)) {
      assert.strictEqual(exit.value.database.password && Redacted.value(exit.value.database.password), password)
    }
  })

  it("is removed from any text that has the URL", () => {
    for (const secret of [password, encodeURIComponent(password)]) {
      const url = `postgres://app:${secret}@db.example/chat`
      assert.strictEqual(
        redact(`cannot reach ${url}, giving up`),
        "cannot reach postgres://<redacted>@db.example/chat, giving up"
      )
      assertSilent(redact(JSON.stringify({ url, detail: `"${url}"` })))
    }
  })
})

describe("what a process prints of a database password", { timeout: 60_000 }, () => {
  /** The real server, with a role that it does not know. */
  const real = new URL(inject("postgresUrl"))

  for (const name of names) {
    const outputOf = async (secret: string, target: string, says: RegExp) => {
      const url = `postgres://app:${secret}@${target}`
      const process = await startProcess({
        DATABASE_URL: name === "DATABASE_URL" ? url : real.href,
        ...(name === "DATABASE_URL" ? {} : { DATABASE_DIRECT_URL: url }),
        GEMINI_BASE_URL: "http://127.0.0.1:9",
        LOG_LEVEL: "trace"
      })
      await until(`the message that says ${says.source}`, async () => says.test(process.output()), { seconds: 20 })
      await sleep(200)
      await process.kill("SIGKILL")
      return process.output()
    }
    const encoded = encodeURIComponent(password)

    for (const [what, secret, target, says] of [
      ["is not encoded", password, "127.0.0.1:1/chat", new RegExp(`cannot start: ${name}: `)],
      ["has an @ and a # that are not encoded", "pq7@ss7#wx7", "127.0.0.1:1/chat", new RegExp(`cannot start: ${name}: `)],
      ["has an @ and a / that are not encoded", "pq7@ss7/wx7", "127.0.0.1:1/chat", new RegExp(`cannot start: ${name}: `)],
      ["has a % that is not encoded", "pq7%zz7", "127.0.0.1:1/chat", new RegExp(`cannot start: ${name}: `)],
      ["meets a host that does not exist", encoded, "nowhere.invalid/chat", /Waiting for the database/],
      ["is wrong", encoded, `${real.host}/postgres`, new RegExp(`cannot start: ${name}: cannot connect`)]
    ] as const) {
      it(`is nothing when it ${what}: ${name}`, async () => {
        assertSilent(await outputOf(secret, target, says))
      })
    }

    it(`is nothing when the connection is refused: ${name}`, async () => {
      assertSilent(await outputOf(encoded, `127.0.0.1:${await freePort()}/chat`, /Waiting for the database/))
    })
  }
})

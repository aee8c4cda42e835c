import { connect } from "node:net"
import { assert, it } from "vitest"
import { startBackend, startProcess } from "../support/Backend.ts"
import { createDatabase } from "../support/Database.ts"
import { newUser } from "../support/Users.ts"
import { until } from "../support/wait.ts"
import { png } from "./samples.ts"

const mebibyte = 1_048_576

it("leaves nothing of an upload whose process was killed between two chunks", { timeout: 120_000 }, async () => {
  const database = await createDatabase()
  const survivor = await startBackend({ DATABASE_URL: database.url, LOG_LEVEL: "none" })
  const victim = await startProcess({ DATABASE_URL: database.url, ROLE: "api" })
  try {
    await victim.started()
    const ada = await newUser(survivor.url, database)
    const socket = connect(Number(new URL(victim.url).port), "127.0.0.1")
    socket.on("error", () => {})
    socket.write(
      `POST /files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ada.token}\r\nContent-Type: image/png\r\nContent-Length: ${4 * mebibyte}\r\n\r\n`
    )
    socket.write(png({ bytes: 4 * mebibyte }).subarray(0, 2 * mebibyte))
    const stored = async () =>
      (await database.query<{ count: number }>("select count(*)::int as count from file_chunks"))[0]?.count
    await until("some chunks are stored", async () => ((await stored()) ?? 0) >= 4)
    await victim.kill("SIGKILL")
    assert.deepStrictEqual((await ada.call("GET", "/files")).body.data, [])
    const taken = async () =>
      Number((await database.query("select file_bytes from users where id = $1", [ada.userId]))[0]?.["file_bytes"])
    assert.strictEqual(await taken(), 4 * mebibyte)

    const [row] = await database.query<{ minutes: number }>(
      "select extract(epoch from expires_at - clock_timestamp())::float8 / 60 as minutes from files"
    )
    assert.isAtMost(row?.minutes ?? Infinity, 20)
    await database.query("update files set expires_at = now() where status = 'uploading'")
    for (const task of ["expire_files", "remove_files"]) {
      await database.query("select graphile_worker.add_job($1, '{}', job_key => $1)", [task])
      await until(`${task} has run`, async () => {
        const jobs = await database.query("select 1 from graphile_worker.jobs where key = $1", [task])
        return jobs.length === 0
      })
    }
    assert.deepStrictEqual([await stored(), await taken()], [0, 0])
    for (const table of ["files", "file_removals"]) assert.lengthOf(await database.query(`select 1 from ${table}`), 0)
  } finally {
    await victim.kill("SIGKILL")
    await survivor.stop()
    await database.drop()
  }
})

import { randomBytes } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { assertProblem } from "../auth/People.ts"
import { startBackend } from "../support/Backend.ts"
import { type Person, request } from "../support/Client.ts"
import { readEnded, sendQuestion } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { exchange, read, roomWith, share, textsOf, tokenOf } from "./sharing.ts"

const settings = { BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none", APP_URL: "https://chat.example.com" }
const unknownId = "01980000-0000-7000-8000-000000000000"
let backends: TestBackends
let base: string
let ada: Person
let room: string

beforeAll(async () => {
  backends = await startBackends(settings)
  base = backends.urls[0] ?? ""
  ada = await backends.newUser()
  room = await roomWith(ada, "[[say One.]] first?", "[[say Two.]] second?")
})
afterAll(() => backends.stop())

describe("POST /chatroom/:id/share", () => {
  it("returns a link that shows the conversation to anyone", async () => {
    const made = await share(ada, room)
    const token = tokenOf(made)
    assert.strictEqual(made.status, 201, made.text)
    assert.match(token, /^[\w-]{43}$/)
    assert.deepEqual(made.body, {
      id: made.body.id,
      url: `https://chat.example.com/share/${token}`,
      title: "Looms",
      createdAt: made.body.createdAt,
      expiresAt: null,
      attachments: false,
      messages: 4
    })
    assert.strictEqual(made.headers.get("location"), `/share/${token}`)
    const shown = await read(base, token)
    assert.strictEqual(shown.status, 200, shown.text)
    const roles = shown.body.messages.map(({ role }: { readonly role: string }) => role)
    assert.deepEqual(roles, ["user", "model", "user", "model"])
    assert.deepEqual(
      textsOf(shown).filter((_, index) => index % 2 === 1),
      ["One.", "Two."]
    )
    assert.deepEqual([shown.body.title, shown.body.createdAt], ["Looms", made.body.createdAt])
    assert.deepEqual([shown.body.hasMore, shown.body.nextCursor], [false, null])
  })

  it("stores the token's hash alone, also in the idempotency key's response", async () => {
    const made = await share(ada, room, {}, { "idempotency-key": "stored" })
    const token = tokenOf(made)
    const rows = await backends.database.query(
      "select (select json_agg(s) from shares s)::text as shares, (select json_agg(k) from idempotency_keys k)::text as keys"
    )
    assert.include(JSON.stringify(rows), made.body.id)
    assert.notInclude(JSON.stringify(rows), token)
  })

  it("replays its first response to the same idempotency key", async () => {
    const headers = { "idempotency-key": "again" }
    const body = { title: "Weaving", expiresIn: 60 }
    const first = await share(ada, room, body, headers)
    const second = await share(ada, room, body, headers)
    assert.deepEqual([first.status, second.status], [201, 201])
    assert.deepEqual(second.body, first.body)
    assert.strictEqual(second.headers.get("idempotent-replayed"), "true")
    assert.isNull(first.headers.get("idempotent-replayed"))
    assert.strictEqual((await read(base, tokenOf(second))).body.title, "Weaving")
    assertProblem(await share(ada, room, {}, headers), 422, "idempotency_key_reused")
    const listed = await ada.call("GET", "/shares?limit=100")
    assert.lengthOf(
      listed.body.data.filter(({ title }: { readonly title: string }) => title === "Weaving"),
      1
    )
  })

  it("refuses what there is not: a room, a message, a reply, or a valid value", async () => {
    const mallory = await backends.newUser()
    const empty = await ada.room()
    assertProblem(await share(ada, unknownId), 404, "chatroom_not_found")
    assertProblem(await share(mallory, room), 404, "chatroom_not_found")
    assertProblem(await share(ada, empty), 409, "nothing_to_share")
    await sendQuestion(ada, "[[latency 60000]] slow?", empty)
    assertProblem(await share(ada, empty), 409, "nothing_to_share")
    const other = await exchange(ada, await ada.room(), "elsewhere?")
    for (const upTo of [unknownId, other.reply]) {
      const refused = await share(ada, room, { upTo })
      assertProblem(refused, 400, "validation_failed")
      assert.strictEqual(refused.body.errors[0].path, "/upTo")
    }
    for (const [path, body] of [
      ["/expiresIn", { expiresIn: 0 }],
      ["/expiresIn", { expiresIn: 31_536_001 }],
      ["/expiresIn", { expiresIn: 1.5 }],
      ["/title", { title: "" }],
      ["/upTo", { upTo: "x" }]
    ] as const) {
      const refused = await share(ada, room, body)
      assertProblem(refused, 400, "validation_failed")
      assert.strictEqual(refused.body.errors[0].path, path)
    }
    assertProblem(await request(base, "POST", `/chatroom/${room}/share`, { body: {} }), 401, "unauthenticated")
  })

  it(
    "refuses the 101st live link, also of parallel requests, and counts no revoked or expired one",
    { timeout: 60_000 },
    async () => {
      const bob = await backends.newUser()
      const own = await roomWith(bob, "[[say Yes.]] mine?")
      const made = []
      while (made.length < 110) made.push(...(await Promise.all(times(10, () => share(bob, own)))))
      const refused = made.filter(({ status }) => status !== 201)
      assert.lengthOf(refused, 10)
      for (const each of refused) assertProblem(each, 409, "too_many_shares")
      assert.strictEqual(refused[0]?.body.limit, 100)
      const [revoked, expired] = (await bob.call("GET", "/shares?limit=2")).body.data
      assert.strictEqual((await bob.call("DELETE", `/shares/${revoked.id}`)).status, 204)
      await backends.database.query("update shares set expires_at = now() where id = $1", [expired.id])
      assert.deepEqual((await Promise.all(times(3, () => share(bob, own)))).map(({ status }) => status).sort(), [201, 201, 409])
      // Ended links do not pile up.
      const [row] = await backends.database.query<{ count: number }>("select count(*)::int from shares where user_id = $1", [
        bob.userId
      ])
      assert.strictEqual(row?.count, 100)
    }
  )
})

describe("the conversation that a link shows", () => {
  it("ends where it ended when it was shared", async () => {
    const own = await roomWith(ada, "[[say Old.]] before?")
    const token = tokenOf(await share(ada, own))
    const before = await read(base, token)
    await exchange(ada, own, "[[say New.]] after?")
    await ada.call("PATCH", `/chatroom/${own}`, { title: "Secret" })
    assert.deepEqual((await read(base, token)).body, before.body)
  })

  it("keeps the reply of that time when the reply is regenerated", async () => {
    const own = await ada.room()
    const { reply } = await exchange(ada, own, "[[say First.]] again?")
    const early = tokenOf(await share(ada, own))
    const before = textsOf(await read(base, early))
    const again = await ada.call("POST", `/chatroom/${own}/message/${reply}/regenerate`)
    const path = `/chatroom/${own}/message/${again.body.reply.id}?wait=30`
    assert.strictEqual((await ada.call("GET", path)).body.status, "completed")
    // Told apart by their texts, which the simulator makes from the question alone.
    await backends.database.query("update messages set content = 'Second.' where id = $1", [again.body.reply.id])
    assert.deepEqual(textsOf(await read(base, early)), before)
    assert.strictEqual(textsOf(await read(base, tokenOf(await share(ada, own)))).at(-1), "Second.")
    assert.strictEqual(textsOf(await read(base, tokenOf(await share(ada, own, { upTo: reply })))).at(-1), "First.")
  })

  it("does not get the reply that was being made when it was shared", async () => {
    const own = await ada.room()
    await exchange(ada, own, "[[say Done.]] done?")
    const running = await sendQuestion(ada, "[[latency 6000]] running?", own)
    const next = await ada.ask(own, "next?")
    const made = await share(ada, own, { upTo: next.body.message.id })
    assert.strictEqual(made.body.messages, 4, made.text)
    assert.strictEqual((await readEnded(ada, running)).status, "completed")
    const expected = ["[[say Done.]] done?", "Done.", "[[latency 6000]] running?", "next?"]
    assert.deepEqual(textsOf(await read(base, tokenOf(made))), expected)
  })

  it("ends with `upTo`, and shows the question of a failed reply only at the end", async () => {
    const own = await ada.room()
    const first = await exchange(ada, own, "[[say A.]] a?")
    const second = await ada.ask(own, "[[finish SAFETY]] b?", { wait: 30 })
    const third = await exchange(ada, own, "[[say C.]] c?")
    const upTo = async (id: string) => textsOf(await read(base, tokenOf(await share(ada, own, { upTo: id }))))
    assert.deepEqual(await upTo(first.reply), ["[[say A.]] a?", "A."])
    assert.deepEqual(await upTo(third.question), ["[[say A.]] a?", "A.", "[[say C.]] c?"])
    assert.deepEqual(await upTo(third.reply), ["[[say A.]] a?", "A.", "[[say C.]] c?", "C."])
    // The next question does not follow a failed reply: it is on a branch of its own.
    assert.deepEqual(await upTo(second.body.message.id), ["[[say A.]] a?", "A.", "[[finish SAFETY]] b?"])
    assert.deepEqual(await upTo(second.body.reply.id), ["[[say A.]] a?", "A.", "[[finish SAFETY]] b?"])
    assertProblem(await share(ada, own, { upTo: first.question }), 409, "nothing_to_share")
  })

  it("has no ids, system prompt, thoughts, usage or user", async () => {
    const own = await ada.room({ systemPrompt: "A private instruction.", title: "Public" })
    const settings = { thinking: { level: "low", summaries: true } }
    const asked = await ada.call("POST", `/chatroom/${own}/message?wait=30`, {
      content: "[[thoughts 3]] [[say Thought.]] think?",
      settings
    })
    assert.strictEqual(asked.body.reply.status, "completed", asked.text)
    const thoughts = (await ada.call("GET", `/chatroom/${own}/message/${asked.body.reply.id}`)).body.thoughts
    assert.isNotEmpty(thoughts)
    const made = await share(ada, own)
    const pages = [await read(base, tokenOf(made)), await read(base, tokenOf(made), "?limit=1")]
    const page = await read(base, tokenOf(made), "", { accept: "text/html" })
    const { body } = pages[0] ?? page
    assert.sameMembers(Object.keys(body), ["title", "createdAt", "messages", "hasMore", "nextCursor"])
    for (const each of body.messages) assert.sameMembers(Object.keys(each), ["role", "content", "model", "createdAt"])
    const cursor = String(pages[1]?.body.nextCursor).split(".")[0] ?? ""
    const shown = [...pages, page].map((each) => each.text + JSON.stringify([...each.headers])).join("\n")
    const all = shown + Buffer.from(cursor, "base64url").toString()
    const ids = [own, ada.userId, asked.body.message.id, asked.body.reply.id, made.body.id]
    for (const word of [...ids, ada.mobile, "private instruction", thoughts, "usage", "costMicros"]) assert.notInclude(all, word)
  })

  it("has the sources of a reply", async () => {
    const pro = await startBackend({
      ...settings,
      DATABASE_URL: backends.database.url,
      GEMINI_BASE_URL: backends.gemini.url,
      BASIC_DAILY_SEARCHES: "10"
    })
    try {
      const own = await ada.room()
      const body = { content: "Who wove? [[search history of looms]]", settings: { tools: ["search"] } }
      const asked = await request(pro.url, "POST", `/chatroom/${own}/message?wait=30`, { body, token: ada.token })
      assert.isNotEmpty(asked.body.reply.sources, asked.text)
      const shown = await read(base, tokenOf(await share(ada, own)))
      assert.deepEqual(shown.body.messages[1].sources, asked.body.reply.sources)
    } finally {
      await pro.stop()
    }
  })

  it("comes in pages that follow one another", async () => {
    const own = await roomWith(ada, ...times(4, (index) => `[[say ${index}.]] ?`))
    const token = tokenOf(await share(ada, own))
    const whole = textsOf(await read(base, token))
    assert.lengthOf(whole, 8)
    const texts: Array<string> = []
    let page = await read(base, token, "?limit=3")
    while (true) {
      texts.push(...textsOf(page))
      if (!page.body.hasMore) break
      assert.include(page.headers.get("link") ?? "", page.body.nextCursor)
      page = await read(base, token, `?limit=3&after=${page.body.nextCursor}`)
    }
    assert.deepEqual(texts, whole)
    assert.isNull(page.body.nextCursor)
    const first = await read(base, token, "?limit=3")
    const another = tokenOf(await share(ada, own))
    assertProblem(await read(base, another, `?after=${first.body.nextCursor}`), 400, "validation_failed")
  })

  it("comes in pages of about 1 MiB of text", async () => {
    const own = await roomWith(ada, ...times(3, (index) => `[[say ${index}.]] ?`))
    await backends.database.query("update messages set content = repeat('x', 600000) where chatroom_id = $1 and role = 'model'", [
      own
    ])
    const token = tokenOf(await share(ada, own))
    const first = await read(base, token)
    assert.deepEqual([first.body.messages.length, first.body.hasMore], [4, true])
    const rest = await read(base, token, `?after=${first.body.nextCursor}`)
    assert.deepEqual([rest.body.messages.length, rest.body.hasMore], [2, false])
  })

  it("has headers against caching, indexing and referrers", async () => {
    const token = tokenOf(await share(ada, room))
    for (const accept of ["application/json", "text/html,*/*;q=0.8"]) {
      const { headers } = await read(base, token, "", { accept })
      assert.deepEqual(
        ["x-robots-tag", "cache-control", "referrer-policy", "x-content-type-options"].map((name) => headers.get(name)),
        ["noindex", "no-store", "no-referrer", "nosniff"]
      )
      assert.include(headers.get("vary") ?? "", "Accept")
    }
    assert.strictEqual((await read(base, "x")).headers.get("cache-control"), "no-store")
  })
})

describe("a page for browsers", () => {
  it("has the conversation as escaped text, its own style and no script", async () => {
    const own = await ada.room({ title: `<script>alert("title")</script>` })
    const text = `<img src=x onerror="alert('content')"> & more`
    await exchange(ada, own, text)
    const { headers, text: page } = await read(base, tokenOf(await share(ada, own)), "", { accept: "text/html,*/*;q=0.8" })
    assert.strictEqual(headers.get("content-type"), "text/html; charset=utf-8")
    const policy = headers.get("content-security-policy") ?? ""
    assert.match(policy, /^default-src 'none'; style-src 'sha256-[^']+'; /)
    assert.notInclude(policy, "script-src")
    assert.notInclude(policy, "unsafe")
    assert.include(page, "&lt;img src=x onerror=&quot;alert(&#39;content&#39;)&quot;&gt; &amp; more")
    assert.include(page, "&lt;script&gt;")
    assert.notMatch(page, /<script|<img/)
    assert.include(page, `<meta name="robots" content="noindex">`)
  })

  it("links to the next page", async () => {
    const token = tokenOf(await share(ada, room))
    const first = await read(base, token, "?limit=2", { accept: "text/html" })
    const next = /href="(\?[^"]+)" rel="next"/.exec(first.text)?.[1]?.replaceAll("&amp;", "&") ?? ""
    const second = await read(base, token, next, { accept: "text/html" })
    assert.include(first.text, "One.")
    assert.notInclude(first.text, "Two.")
    assert.include(second.text, "Two.")
    assert.notInclude(second.text, `rel="next"`)
  })
})

describe("a link that does not work", () => {
  it("is 404 with one bit changed, whichever it is", async () => {
    const token = tokenOf(await share(ada, room))
    const bytes = Buffer.from(token, "base64url")
    const changed = times(bytes.length, (index) => {
      const copy = Buffer.from(bytes)
      copy[index] = (copy[index] ?? 0) ^ (1 << (index % 8))
      return copy.toString("base64url")
    })
    for (const wrong of [...changed, `${token}=`, `${token.slice(0, 42)}${token.endsWith("A") ? "B" : "A"}`, token.slice(1)]) {
      const refused = await read(base, wrong)
      assertProblem(refused, 404, "share_not_found")
    }
    assert.strictEqual((await read(base, token)).status, 200)
  })

  it("is 404 when it has expired, is revoked, or its room is deleted, each like an unknown one", async () => {
    const own = await roomWith(ada, "[[say Gone.]] ?")
    const [expired, revoked, deleted] = [
      await share(ada, own, { expiresIn: 3_600 }),
      await share(ada, own),
      await share(ada, own)
    ]
    assert.strictEqual(Date.parse(expired.body.expiresAt) - Date.parse(expired.body.createdAt), 3_600_000)
    for (const made of [expired, revoked, deleted]) assert.strictEqual((await read(base, tokenOf(made))).status, 200)
    await backends.database.query("update shares set expires_at = now() where id = $1", [expired.body.id])
    assert.strictEqual((await ada.call("DELETE", `/shares/${revoked.body.id}`)).status, 204)
    const said = async (token: string) => {
      const { body, status } = await read(base, token)
      return { status, ...body, requestId: "" }
    }
    const unknown = await said(randomBytes(32).toString("base64url"))
    assert.strictEqual(unknown.status, 404)
    assert.deepEqual(await said(tokenOf(expired)), unknown)
    assert.deepEqual(await said(tokenOf(revoked)), unknown)
    await ada.call("DELETE", `/chatroom/${own}`)
    assert.deepEqual(await said(tokenOf(deleted)), unknown)
  })

  it("is 404 and in no list when its last message was deleted", async () => {
    const bob = await backends.newUser()
    const own = await roomWith(bob, "[[say Stays.]] ?", "[[say Goes.]] ?")
    const [, , goes] = (await bob.call("GET", `/chatroom/${own}`)).body.messages
    const stays = await share(bob, own, { upTo: goes.parentId })
    const gone = await share(bob, own)
    assert.strictEqual((await bob.call("DELETE", `/chatroom/${own}/message/${goes.id}`)).status, 204)
    assertProblem(await read(base, tokenOf(gone)), 404, "share_not_found")
    assert.strictEqual((await read(base, tokenOf(stays))).status, 200)
    const { body } = await bob.call("GET", "/shares")
    assert.deepEqual(
      body.data.map(({ id }: { id: string }) => id),
      [stays.body.id]
    )
    assertProblem(await bob.call("DELETE", `/shares/${gone.body.id}`), 404, "share_not_found")
  })

  it("cannot be revoked twice, or by another user", async () => {
    const mallory = await backends.newUser()
    const { body } = await share(ada, room)
    assertProblem(await mallory.call("DELETE", `/shares/${body.id}`), 404, "share_not_found")
    assertProblem(await ada.call("DELETE", `/shares/${unknownId}`), 404, "share_not_found")
    assert.strictEqual((await ada.call("DELETE", `/shares/${body.id}`)).status, 204)
    assertProblem(await ada.call("DELETE", `/shares/${body.id}`), 404, "share_not_found")
  })

  it("is 404 when the account of its user is deleted", async () => {
    const bob = await backends.newUser()
    const token = tokenOf(await share(bob, await roomWith(bob, "[[say Bye.]] ?")))
    assert.strictEqual((await read(base, token)).status, 200)
    assert.strictEqual((await bob.call("DELETE", "/user/me")).status, 204)
    assertProblem(await read(base, token), 404, "share_not_found")
  })
})

describe("GET /shares", () => {
  it("lists live links in pages, newest first, without their addresses", async () => {
    const bob = await backends.newUser()
    const own = await roomWith(bob, "[[say Listed.]] ?")
    const made = [await share(bob, own), await share(bob, own, { title: "Named", expiresIn: 60 }), await share(bob, own)]
    const ended = await share(bob, own)
    await bob.call("DELETE", `/shares/${ended.body.id}`)
    const first = await bob.call("GET", "/shares?limit=2")
    const second = await bob.call("GET", `/shares?limit=2&cursor=${first.body.nextCursor}`)
    const expected = made.toReversed().map(({ body: { createdAt, expiresAt, id, title } }) => ({
      id,
      title,
      createdAt,
      expiresAt,
      attachments: false,
      chatroomId: own,
      views: 0
    }))
    assert.deepEqual([...first.body.data, ...second.body.data], expected)
    assert.deepEqual([first.body.hasMore, second.body.hasMore], [true, false])
    for (const each of made) assert.notInclude(first.text + second.text, tokenOf(each))
  })

  it("counts views of first pages, with one write for many", async () => {
    const bob = await backends.newUser()
    const own = await roomWith(bob, "[[say Viewed.]] ?")
    const made = await share(bob, own)
    const api = await startBackend({ ...settings, DATABASE_URL: backends.database.url, ROLE: "api" })
    const writes = () =>
      backends.database.query<{ xmin: string; views: number }>("select xmin::text, views from shares where id = $1", [
        made.body.id
      ])
    const versions = new Set<string>()
    const viewsOf = async () => {
      const [row] = await writes()
      versions.add(row?.xmin ?? "")
      return row?.views ?? 0
    }
    await viewsOf()
    await read(api.url, tokenOf(made))
    await until("the first view", async () => (await viewsOf()) === 1)
    for (const _ of times(30, () => 0)) {
      const page = await read(api.url, tokenOf(made), "?limit=1")
      await read(api.url, tokenOf(made), `?after=${page.body.nextCursor}`)
      await viewsOf()
    }
    await api.stop()
    assert.strictEqual(await viewsOf(), 31)
    // As created, with the first view, and with the others.
    assert.isAtMost(versions.size, 3)
  })
})

describe("the account", () => {
  it("has its links in its export", async () => {
    const bob = await backends.newUser()
    const made = await share(bob, await roomWith(bob, "[[say Mine.]] ?"), { title: "Exported" })
    await bob.call("DELETE", `/shares/${made.body.id}`)
    const exported = await bob.call("GET", "/user/me/export")
    const [kept] = exported.body.shares
    assert.deepEqual([kept.id, kept.title, kept.views, kept.expiresAt], [made.body.id, "Exported", 0, null])
    assert.isString(kept.revokedAt)
    assert.notInclude(exported.text, tokenOf(made))
  })
})

describe("SHARING", () => {
  const startWith = (sharing: string) =>
    startBackend({ ...settings, DATABASE_URL: backends.database.url, ROLE: "api", SHARING: sharing })

  it("`users` shows links to logged-in users only", async () => {
    const token = tokenOf(await share(ada, room))
    const users = await startWith("users")
    const bob = await backends.newUser()
    try {
      assertProblem(await read(users.url, token), 401, "unauthenticated")
      assertProblem(await read(users.url, "unknown"), 401, "unauthenticated")
      assertProblem(await read(users.url, token, "", { authorization: "Bearer x" }), 401, "token_invalid")
      assert.strictEqual((await read(users.url, token, "", { authorization: `Bearer ${bob.token}` })).status, 200)
      await bob.call("POST", "/auth/logout", {})
      assertProblem(await read(users.url, token, "", { authorization: `Bearer ${bob.token}` }), 401, "session_revoked")
    } finally {
      await users.stop()
    }
  })

  it("`off` makes no links and shows none, but lists and revokes them", async () => {
    const made = await share(ada, room)
    const off = await startWith("off")
    const call = (method: string, path: string, body?: unknown) => request(off.url, method, path, { body, token: ada.token })
    try {
      assertProblem(await call("POST", `/chatroom/${room}/share`, {}), 404, "not_found")
      assertProblem(await read(off.url, tokenOf(made)), 404, "share_not_found")
      assertProblem(await call("POST", `/share/${tokenOf(made)}/copy`, {}), 404, "share_not_found")
      assert.include((await call("GET", "/shares?limit=100")).text, made.body.id)
      assert.strictEqual((await call("DELETE", `/shares/${made.body.id}`)).status, 204)
    } finally {
      await off.stop()
    }
  })
})

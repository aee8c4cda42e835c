import { call, type Folder, keep, script } from "../Overlay.ts"

const openIt = {
  body: { title: "The sky", systemPrompt: "You answer in one short sentence." },
  headers: { "Idempotency-Key": "{{roomKey}}" },
  expect: 201
}

export const rooms: Folder = {
  name: "2. Rooms",
  about: "Chatrooms: open, list, page, rename, delete. The list's first page is cached by the server and has an ETag.",
  items: [
    call("createChatroom", {
      ...openIt,
      name: "Open a room",
      about: "With an idempotency key, so that a lost answer can be asked for again without a second room.",
      before: script`
        pm.collectionVariables.set("roomKey", pm.variables.replaceIn("{{$guid}}"))
      `,
      tests: [
        keep({ roomId: "id" }),
        script`
          pm.test("Location leads to the room", () =>
            pm.expect(pm.response.headers.get("Location")).to.match(new RegExp("/chatroom/" + pm.response.json().id + "$")))
        `
      ].join("\n")
    }),
    call("createChatroom", {
      ...openIt,
      name: "Open it again with the same key",
      about: "The first answer is replayed: no second room is made.",
      tests: script`
        pm.test("It is the same room, replayed", () => {
          pm.expect(pm.response.json().id).to.equal(pm.variables.get("roomId"))
          pm.expect(pm.response.headers.get("Idempotent-Replayed")).to.equal("true")
        })
      `
    }),
    call("createChatroom", {
      name: "Open a second room",
      about: "Every field is optional.",
      body: {},
      expect: 201,
      tests: [
        keep({ secondRoomId: "id" }),
        script`
          pm.test("It has a title all the same", () => pm.expect(pm.response.json().title).to.equal("New chat"))
        `
      ].join("\n")
    }),
    call("listChatrooms", {
      name: "List the rooms",
      expect: 200,
      tests: script`
        const { data: rooms, hasMore, nextCursor } = pm.response.json()
        pm.test("Both rooms are there, the newest first", () =>
          pm.expect(rooms.map(({ id }) => id)).to.eql([pm.variables.get("secondRoomId"), pm.variables.get("roomId")]))
        pm.test("There is no second page", () => {
          pm.expect(hasMore).to.equal(false)
          pm.expect(nextCursor).to.equal(null)
        })
        pm.test("It has an ETag", () => pm.expect(pm.response.headers.get("ETag")).to.be.a("string"))
        pm.collectionVariables.set("etag", pm.response.headers.get("ETag"))
      `
    }),
    call("listChatrooms", {
      name: "List them again, unchanged",
      about: "With the ETag of the list that is known: nothing is sent twice.",
      headers: { "If-None-Match": "{{etag}}" },
      expect: 304,
      tests: script`
        pm.test("There is no body", () => pm.expect(pm.response.text() || "").to.equal(""))
      `
    }),
    call("listChatrooms", {
      name: "The first page of one",
      query: { limit: "1" },
      expect: 200,
      tests: script`
        const page = pm.response.json()
        pm.test("There is more, and a way to it", () => {
          pm.expect(page.data).to.have.lengthOf(1)
          pm.expect(page.hasMore).to.equal(true)
          pm.expect(pm.response.headers.get("Link")).to.include('rel="next"')
        })
        pm.collectionVariables.set("cursor", page.nextCursor)
      `
    }),
    call("listChatrooms", {
      name: "The next page",
      query: { limit: "1", cursor: "{{cursor}}" },
      expect: 200,
      tests: script`
        const page = pm.response.json()
        pm.test("It is the other room, and the last page", () => {
          pm.expect(page.data.map(({ id }) => id)).to.eql([pm.variables.get("roomId")])
          pm.expect(page.hasMore).to.equal(false)
        })
      `
    }),
    call("updateChatroom", {
      name: "Rename and pin the room",
      path: { id: "{{roomId}}" },
      body: { title: "The sky at night", pinned: true, temperature: 0.5 },
      expect: 200,
      tests: script`
        const room = pm.response.json()
        pm.test("It changed, and only in what was sent", () => {
          pm.expect(room.title).to.equal("The sky at night")
          pm.expect(room.pinned).to.equal(true)
          pm.expect(room.temperature).to.equal(0.5)
          pm.expect(room.systemPrompt).to.equal("You answer in one short sentence.")
        })
      `
    }),
    call("getChatroom", {
      name: "Read the room",
      path: { id: "{{roomId}}" },
      expect: 200,
      tests: script`
        const room = pm.response.json()
        pm.test("It is the room, with no message yet", () => {
          pm.expect(room.id).to.equal(pm.variables.get("roomId"))
          pm.expect(room.messages).to.eql([])
        })
      `
    }),
    call("getLatest", {
      name: "Nothing was asked yet",
      path: { id: "{{roomId}}" },
      expect: 200,
      tests: script`
        pm.test("There is no question and no reply", () => pm.expect(pm.response.json()).to.eql({ message: null, reply: null }))
      `
    }),
    call("deleteChatroom", { name: "Delete the second room", path: { id: "{{secondRoomId}}" }, expect: 204 }),
    call("getChatroom", {
      name: "It is gone",
      path: { id: "{{secondRoomId}}" },
      expect: 404,
      code: "chatroom_not_found"
    })
  ]
}

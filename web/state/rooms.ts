import { batch, computed, signal } from "@preact/signals"
import { call, idempotencyKey } from "../api/client.ts"
import type { RequestOf, ResponseOf } from "../api/contract.ts"
import { openDownload } from "./download.ts"

export type Room = ResponseOf<"PATCH /chatroom/:id">
export type RoomChange = NonNullable<RequestOf<"PATCH /chatroom/:id">["body"]>
export type Found = ResponseOf<"GET /search">["data"][number]

export const rooms = signal<ReadonlyArray<Room>>([])
export const areRoomsLoaded = signal(false)
export const showsArchived = signal(false)
export const nextRooms = signal<string | null>(null)
/** What the user looks for, in titles and in messages. */
export const search = signal("")
/** Messages that contain it; undefined while they are being searched. */
export const found = signal<ReadonlyArray<Found> | undefined>(undefined)

/** The room that is open, from the address. */
export const openRoomId = signal<string | undefined>(undefined)
export const openRoom = computed(() => rooms.value.find(({ id }) => id === openRoomId.value))

const page = (cursor: string | undefined) =>
  call("GET /chatroom", {
    query: {
      limit: 40,
      archived: showsArchived.value || undefined,
      q: search.value || undefined,
      cursor
    }
  })

export const loadRooms = async (): Promise<void> => {
  const loaded = await page(undefined)
  batch(() => {
    rooms.value = loaded.data
    nextRooms.value = loaded.nextCursor
    areRoomsLoaded.value = true
  })
}

export const loadMoreRooms = async (): Promise<void> => {
  const loaded = await page(nextRooms.value ?? undefined)
  if (loaded === undefined) return
  batch(() => {
    rooms.value = [...rooms.value, ...loaded.data]
    nextRooms.value = loaded.nextCursor
  })
}

let latestSearch = 0

/** Looks for a text in titles and messages; only the newest search counts. */
export const searchFor = async (text: string): Promise<void> => {
  const own = ++latestSearch
  search.value = text
  found.value = undefined
  const messages = text === "" ? undefined : call("GET /search", { query: { q: text, limit: 10 } })
  await loadRooms()
  const matches = (await messages)?.data ?? []
  if (own === latestSearch) found.value = matches
}

/** Pinned rooms first, then the latest activity: the server's order, kept while single rooms change. */
const inOrder = (list: ReadonlyArray<Room>): ReadonlyArray<Room> =>
  list.toSorted(
    (a, b) =>
      Number(b.pinned) - Number(a.pinned) || (b.lastMessageAt ?? b.createdAt).localeCompare(a.lastMessageAt ?? a.createdAt)
  )

const put = (room: Room): void => {
  rooms.value = inOrder([room, ...rooms.value.filter(({ id }) => id !== room.id)])
}

/** Adds a room that the list does not contain, such as one that a search has found. */
export const keepRoom = (room: Room): void => {
  if (!rooms.value.some(({ id }) => id === room.id)) put(room)
}

export const createRoom = async (): Promise<Room> => {
  const room = await call("POST /chatroom", { headers: idempotencyKey(), body: {} })
  put(room)
  return room
}

type Exported = NonNullable<RequestOf<"POST /chatroom/import">["body"]>

const parsed = (text: string): Exported => {
  try {
    // The server says what is wrong with it.
    return JSON.parse(text) as Exported
  } catch (error) {
    throw new Error("The file is not the export of a room", { cause: error })
  }
}

/** Makes a room of an exported one, and opens it. */
export const importRoom = async (file: File): Promise<void> => {
  const body = parsed(await file.text())
  const room = await call("POST /chatroom/import", { headers: idempotencyKey(), body })
  put(room)
  location.hash = room.id
}

/** Has the browser download the room with all its branches. */
export const exportRoom = async ({ id, title }: Room): Promise<void> => {
  const { url } = await call("POST /chatroom/:id/export-ticket", { params: { id } })
  openDownload(`${url}&branch=all`, `${title}.json`)
}

export const changeRoom = async (id: string, change: RoomChange): Promise<void> => {
  const room = await call("PATCH /chatroom/:id", { params: { id }, body: change })
  if (change.archived === undefined || change.archived === showsArchived.value) return put(room)
  rooms.value = rooms.value.filter((known) => known.id !== id)
}

export const deleteRoom = async (id: string): Promise<void> => {
  await call("DELETE /chatroom/:id", { params: { id } })
  rooms.value = rooms.value.filter((known) => known.id !== id)
  if (openRoomId.value === id) location.hash = ""
}

/** What a stream says of a room. */
export const updateRoom = (id: string, change: Partial<Room>): void => {
  rooms.value = inOrder(rooms.value.map((room) => (room.id === id ? { ...room, ...change } : room)))
}

export const clearRooms = (): void => {
  rooms.value = []
  areRoomsLoaded.value = false
  search.value = ""
  found.value = undefined
}

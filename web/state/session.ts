import { batch, effect, signal } from "@preact/signals"
import { call } from "../api/client.ts"
import { renew } from "../api/renewal.ts"
import { cookieHeader, forget, isLoggedIn, keep, mayHaveCookie } from "../api/tokens.ts"
import { loadMe, loadModels, me } from "./account.ts"
import { attempt } from "./attempt.ts"
import { clearConversation } from "./conversation.ts"
import { clearFiles } from "./files.ts"
import { clearRooms, loadRooms } from "./rooms.ts"

/** `restoring` while the page asks whether there is a session from before. */
export const phase = signal<"restoring" | "out" | "in">(mayHaveCookie() ? "restoring" : "out")

const load = async (): Promise<void> => {
  await Promise.all([attempt(loadMe), attempt(loadModels), attempt(loadRooms)])
}

/** Continues the session of an earlier visit, if there is one. */
export const restore = async (): Promise<void> => {
  if (phase.value !== "restoring") return
  await renew().catch(() => {})
  if (!isLoggedIn.value) {
    phase.value = "out"
    return
  }
  phase.value = "in"
  await load()
}

export const sendCode = (mobile: string) => call("POST /auth/send-otp", { body: { mobile } })

export const logIn = async (code: {
  readonly mobile: string
  readonly otp: string
  readonly challengeId: string
}): Promise<void> => {
  keep(await call("POST /auth/verify-otp", { headers: cookieHeader, body: code }))
  phase.value = "in"
  await load()
}

const clear = (): void =>
  batch(() => {
    forget()
    clearRooms()
    clearConversation()
    clearFiles()
    me.value = undefined
    phase.value = "out"
  })

export const logOut = async (scope: "local" | "others" | "global"): Promise<void> => {
  await call("POST /auth/logout", { headers: cookieHeader, body: { scope } })
  if (scope !== "others") clear()
}

// A refused renewal ends the session, wherever it was needed.
effect(() => {
  if (!isLoggedIn.value && phase.peek() === "in") clear()
})

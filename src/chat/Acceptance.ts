import { Effect, Result } from "effect"
import { LRUCache } from "lru-cache"
import { v7 as uuid } from "uuid"
import type { Tier, UserId } from "../api/auth/User.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import type { MessageId } from "../api/chat/Message.ts"
import { defaultThinking } from "../api/chat/Thinking.ts"
import { type FileId, maximumAttachedBytes } from "../api/files/File.ts"
import { ContextTooLong } from "../api/openai/CompletionErrors.ts"
import type { Price } from "../config/Models.ts"
import { forTier } from "../config/Plans.ts"
import { AppConfig } from "../config/Settings.ts"
import { Uploads } from "../files/Uploads.ts"
import { Models } from "../models/Models.ts"
import type { ChosenSettings, ReplySettings, RoomSettings } from "../models/Settings.ts"
import { estimatedSearches } from "../models/Tools.ts"
import { currentTraceparent } from "../ops/Tracing.ts"
import type { GivenInput } from "./GivenInput.ts"
import { Quota } from "./Quota.ts"
import { type Change, makeSendMessage } from "./SendMessage.ts"
import { wordsOf } from "./Titles.ts"

/** Rooms whose settings a process remembers, some 200 bytes each. */
const maximumKnownRooms = 20_000
/** Tries of one question whose room or tier change meanwhile. */
const maximumTries = 5

/** What a transaction takes besides the reply's settings. */
export interface Acceptance {
  readonly userId: UserId
  readonly roomId: ChatroomId
  readonly content: string
  /** The question that is edited; without content, the reply or the question that gets another reply. */
  readonly again: MessageId | null
  readonly settings: ChosenSettings
  /** Null for none. */
  readonly attachments: ReadonlyArray<FileId> | null
  readonly key: string | null
  readonly hash: string | null
  /** Of a completion, with an estimate of the tokens of its whole prompt; undefined in a chat. */
  readonly given?: { readonly input: GivenInput; readonly tokens: number } | undefined
}

/** The settings of a room, with the number of their last change. */
interface KnownRoom extends RoomSettings {
  readonly version: number
}
/** This version stands for a room with the defaults, as most have. */
const plainRoom: KnownRoom = { version: -1, model: null, temperature: null, thinking: defaultThinking, tools: [] }
/** No room has this version, so a try with it finds out what the room's settings are. */
const unknownRoom: KnownRoom = { ...plainRoom, version: -2 }

/** The settings of a reply, with what its model costs. */
interface Settled {
  readonly settings: ReplySettings
  readonly price: Price | undefined
}
/** The settings of that try, which is never accepted. */
const unsettled: Settled = { settings: { model: "", temperature: null, maxOutputTokens: 0, contextTokens: 0 }, price: undefined }

/** What the reply's settings are resolved from. */
interface Basis {
  readonly tier: Tier
  readonly room: KnownRoom
}

/** Makes the function that accepts a question: it resolves the settings of the reply and calls `send_message` with them. */
export const makeAccept = Effect.gen(function* () {
  const quota = yield* Quota
  const models = yield* Models
  const uploads = yield* Uploads
  const { autoTitles, dailySearches, searchPrice, userConcurrency } = yield* AppConfig
  const sendMessage = yield* makeSendMessage
  const knownRooms = new LRUCache<string, KnownRoom>({ max: maximumKnownRooms })

  const changeOf = (
    { again, attachments, content, given, hash, key, roomId, userId }: Acceptance,
    { room, tier }: Basis,
    { price, settings }: Settled
  ): Change => {
    const { budget, prompts } = quota.limitsOf(tier)
    const searches = settings.tools?.includes("search") === true ? estimatedSearches : 0
    return {
      userId,
      roomId,
      question: uuid(),
      reply: uuid(),
      content,
      again,
      tier,
      dailyLimit: prompts,
      runningLimit: forTier(userConcurrency, tier),
      title: autoTitles === "off" || content === "" || given !== undefined ? null : (wordsOf(content) ?? null),
      settings,
      version: room.version,
      contextTokens: settings.contextTokens,
      inputPrice: price?.input ?? 0,
      outputMicros: Math.ceil(settings.maxOutputTokens * (price?.output ?? 0)),
      dailySearches: forTier(dailySearches, tier),
      searchMicros: Math.round(searches * searchPrice),
      budget,
      key,
      hash,
      attachments,
      attachmentLimits:
        attachments === null && again === null ? null : { bytes: maximumAttachedBytes, kinds: models.inputOf(settings.model) },
      input: given?.input ?? null
    }
  }

  /** One try, with settings that are resolved from what is known of the room and the tier. */
  const tryAccept = Effect.fnUntraced(function* (acceptance: Acceptance, basis: Basis, { price, settings }: Settled) {
    const traceparent = yield* currentTraceparent
    const traced = traceparent === undefined ? settings : { ...settings, traceparent }
    return yield* Effect.orDie(sendMessage(changeOf(acceptance, basis, { price, settings: traced })))
  })

  /** Resolves the settings of the reply. Fails where the plan or the model does not have what is asked for. */
  const settle = Effect.fnUntraced(function* ({ attachments, given, settings }: Acceptance, { room, tier }: Basis) {
    if (attachments !== null) yield* uploads.checkPlan(tier)
    const settled = yield* models.settle(settings, room, tier)
    const limit = settled.settings.contextTokens
    if (given !== undefined && given.tokens > limit) return yield* ContextTooLong.of(limit, given.tokens)
    return settled
  })

  /**
   * The transaction checks that the settings are those of the room and the tier at that moment, so what is remembered
   * here may be old: then it says what they are, and the next try has them.
   */
  return Effect.fnUntraced(function* (acceptance: Acceptance, tier: Tier) {
    const isChat = acceptance.given === undefined
    const cacheKey = `${acceptance.userId}:${acceptance.roomId}`
    let basis: Basis = { tier, room: (isChat ? knownRooms.get(cacheKey) : undefined) ?? plainRoom }
    // Only what the transaction has said is a reason to refuse a question.
    let isFresh = false
    for (let tries = 0; tries < maximumTries; tries++) {
      const { room } = basis
      const settled = room === unknownRoom ? Result.succeed(unsettled) : yield* Effect.result(settle(acceptance, basis))
      if (Result.isFailure(settled)) {
        if (isFresh) return yield* Effect.fail(settled.failure)
        basis = { ...basis, room: unknownRoom }
        continue
      }
      const sent = yield* tryAccept(acceptance, basis, settled.success)
      if (sent.outcome !== "settings_changed") return sent
      const { model, temperature, thinking, tools, version } = sent
      basis = { tier: sent.tier, room: isChat ? { model, temperature, thinking, tools, version } : plainRoom }
      if (isChat) knownRooms.set(cacheKey, basis.room)
      isFresh = true
    }
    return yield* Effect.die(new Error("a room's settings change faster than a question is accepted"))
  })
})

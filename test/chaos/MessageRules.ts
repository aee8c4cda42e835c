import { ends, type Evidence, type MessageRow } from "./Evidence.ts"
import { isRefused, isUnsure, type Ledger, type Question, replyIdsOf } from "./Ledger.ts"
import type { Call } from "./Model.ts"
import { answerTo, markerIn } from "./Prompts.ts"

type Check = (evidence: Evidence, ledger: Ledger, calls: ReadonlyArray<Call>) => void

const brief = (question: Question) =>
  `${question.key ?? markerIn(question.prompt) ?? "regenerate"} ${JSON.stringify(question.answers)}`

/** Every accepted question is stored and its reply has ended; no refused one is stored; a key creates one resource. */
const accepted: Check = ({ messages, replies }, ledger) => {
  const asked = new Map<string, Array<MessageRow>>()
  for (const row of messages.values()) if (row.role === "user") asked.set(row.content, [...(asked.get(row.content) ?? []), row])
  const repliesTo = Map.groupBy(replies, ({ reply_to }) => reply_to)

  for (const question of ledger.questions) {
    const ids = [...replyIdsOf(question)]
    if (ids.length > 1) ledger.violate("key-once", `different replies to ${brief(question)}`)
    for (const id of ids) {
      const row = messages.get(id)
      if (row === undefined) ledger.violate("accepted-ends", `no reply ${id} for ${brief(question)}`)
      else if (!ends.includes(row.status) || row.completed_at === null)
        ledger.violate("accepted-ends", `reply ${id} is ${row.status}`)
    }
    if (question.prompt === "") continue
    const stored = asked.get(question.prompt) ?? []
    if (isRefused(question) && stored.length > 0) ledger.violate("refused-not-stored", brief(question))
    if (stored.length > 1)
      ledger.violate(
        question.key === undefined ? "accepted-ends" : "key-once",
        `stored ${stored.length} times: ${brief(question)}`
      )
    if (ids.length > 0 && stored[0]?.id !== question.answers.find(({ questionId }) => questionId !== undefined)?.questionId) {
      ledger.violate("accepted-ends", `another question is stored for ${brief(question)}`)
    }
  }

  // Regenerations: no more than were, or may have been, accepted.
  const regenerations = Map.groupBy(
    ledger.questions.filter(({ prompt }) => prompt === ""),
    ({ roomId }) => roomId
  )
  const byRoom = Map.groupBy(replies, ({ chatroom_id }) => chatroom_id)
  for (const [roomId, rows] of byRoom) {
    const again = rows.filter((row) => repliesTo.get(row.reply_to)?.[0]?.id !== row.id).length
    const requests = regenerations.get(roomId) ?? []
    const sure = new Set(requests.flatMap((request) => [...replyIdsOf(request)])).size
    const unsure = requests.filter((request) => replyIdsOf(request).size === 0 && request.answers.some(isUnsure)).length
    if (again < sure) ledger.violate("accepted-ends", `room ${roomId}: ${again} of ${sure} other replies`)
    if (again > sure + unsure)
      ledger.violate("refused-not-stored", `room ${roomId}: ${again} other replies, ${sure} accepted, ${unsure} unsure`)
  }
}

const ended: Check = ({ audit, messages, replies }, ledger) => {
  for (const { id, status } of messages.values())
    if (!ends.includes(status)) ledger.violate("nothing-unfinished", `${id} is ${status}`)
  for (const { id } of replies) {
    const entries = audit.get(id) ?? []
    const times = entries.filter(({ kind }) => kind === "ended").length
    if (times > 1 || entries.some(({ kind }) => kind === "changed"))
      ledger.violate("ends-once", `${id}: ${JSON.stringify(entries)}`)
  }
}

/** A reply's text is of one call, which the reply's last attempt made. */
const texts: Check = ({ audit, messages, replies }, ledger, calls) => {
  const callsOf = Map.groupBy(calls, ({ marker }) => marker)
  for (const reply of replies) {
    const prompt = messages.get(reply.reply_to ?? "")?.content ?? ""
    if (reply.content === "") {
      if (reply.status === "completed") ledger.violate("whole-answer", `${reply.id} is completed and empty`)
      continue
    }
    // A regenerated question has calls with the same letters; the newest with this text counts.
    const made = (callsOf.get(markerIn(prompt) ?? "") ?? []).filter(({ at }) => at <= (reply.completed_at?.getTime() ?? 0) + 5)
    const author = made.findLast(({ letter }) => {
      const whole = answerTo(prompt, letter)
      return reply.status === "completed" ? reply.content === whole : whole.startsWith(reply.content)
    })
    if (author === undefined) {
      ledger.violate(
        "whole-answer",
        `${reply.id} (${reply.status}): ${JSON.stringify(reply.content)} of ${made.length} calls for ${prompt}`
      )
      continue
    }
    const claim = audit.get(reply.id)?.findLast(({ attempt, kind }) => kind === "claimed" && attempt === reply.attempt)
    // Clocks have milliseconds, and the beginning of a text may not contain a letter yet.
    const hasLetter = author.letter !== "" && reply.content.includes(`0${author.letter}`)
    if (claim !== undefined && hasLetter && author.at < claim.at.getTime() - 2) {
      ledger.violate(
        "fence",
        `${reply.id} (${reply.status}, attempt ${reply.attempt} of ${claim.at.toISOString()}) has the text of call ${author.letter} of ${new Date(author.at).toISOString()}`
      )
    }
  }
}

/** Every end that a client saw, and every text that a client received by a stream, is what is stored. */
const seen: Check = ({ messages }, ledger) => {
  for (const { attempt, by, content, id, status } of ledger.shown) {
    const row = messages.get(id)
    if (row?.status !== status || row.content !== content || row.attempt !== attempt) {
      ledger.violate(
        "seen-is-stored",
        `${id} was ${status} (attempt ${attempt}, ${content.length} units) in ${by}, and is ${row?.status} (${row?.attempt}, ${row?.content.length})`
      )
    }
  }
  for (const { replyId, resumes, terminal, text } of ledger.streamed) {
    const stored = messages.get(replyId)?.content
    if (stored !== text)
      ledger.violate(
        "stream-text",
        `${replyId} (${terminal}, ${resumes} resumes): read ${JSON.stringify(text)}, stored ${JSON.stringify(stored)}`
      )
  }
}

/** A room's replies are made in the order of its questions, each after the one before has ended. */
const order: Check = ({ messages, replies }, ledger) => {
  const time = (date: Date | null) => date?.getTime() ?? 0
  const asFirst = new Set([...Map.groupBy(replies, ({ reply_to }) => reply_to).values()].map(([first]) => first?.id))
  for (const repliesOfRoom of Map.groupBy(
    replies.filter(({ started_at }) => started_at !== null),
    ({ chatroom_id }) => chatroom_id
  ).values()) {
    const served = repliesOfRoom.toSorted((a, b) => time(a.started_at) - time(b.started_at))
    for (const [index, reply] of served.entries()) {
      const before = served[index - 1]
      if (before !== undefined && time(reply.started_at) < time(before.completed_at)) {
        ledger.violate("one-at-a-time", `${reply.id} began before ${before.id} had ended`)
      }
    }
    // A regeneration goes to the end of the queue.
    const questions = served.filter(({ id }) => asFirst.has(id)).flatMap(({ reply_to }) => messages.get(reply_to ?? "") ?? [])
    for (const [index, question] of questions.entries()) {
      const before = questions[index - 1]
      if (before !== undefined && question.id < before.id) {
        ledger.violate(
          "order",
          `question ${question.id} of ${question.created_at.toISOString()} was answered after ${before.id} of ${before.created_at.toISOString()}`
        )
      }
    }
  }
}

const keys: Check = ({ rooms }, ledger) => {
  const known = new Set(rooms.map(({ id }) => id))
  for (const [key, ids] of ledger.createdRooms)
    if (ids.size > 1) ledger.violate("key-once", `${key} made rooms ${[...ids].join(", ")}`)
  for (const { roomId } of ledger.questions) if (!known.has(roomId)) ledger.count("questions in rooms that are gone")
}

export const messageRules: ReadonlyArray<Check> = [accepted, ended, texts, seen, order, keys]

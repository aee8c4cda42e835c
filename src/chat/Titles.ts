import { Schema } from "effect"
import { Title } from "../api/chat/Chatroom.ts"

/** The title of a room that has none. */
export const defaultTitle = "New chat"

/** Characters that a title takes of a question. */
const maximumWords = 60

export const isTitle = Schema.is(Title)

/** One line: every run of whitespace and control characters is a space. Marks that turn the direction of text are removed. */
const toLine = (text: string): string =>
  text
    .toWellFormed()
    .replaceAll(/[\u202a-\u202e\u2066-\u2069]/gu, "")
    .replaceAll(/[\s\p{Cc}]+/gu, " ")
    .trim()

/** The question's first words, cut at a word, or within one that is too long; undefined when nothing of them is visible. */
export const wordsOf = (question: string): string | undefined => {
  // Bounded first, because a question may be long.
  const characters = [...toLine(question.slice(0, 2_000))]
  const start = characters.slice(0, maximumWords).join("")
  const lastSpace = start.lastIndexOf(" ")
  const isWhole = characters.length <= maximumWords || characters[maximumWords] === " "
  const words = (isWhole || lastSpace === -1 ? start : start.slice(0, lastSpace)).trim()
  return isTitle(words) ? words : undefined
}

/** What a model wrote as a title, without quotes and Markdown marks around it; undefined when it is empty or too long. */
export const titleOf = (answer: string): string | undefined => {
  const title = toLine(answer.slice(0, 10_000))
    .replace(/^(?:[#>*_`~"'“”„‘’«»\s]|[-+]\s)+/u, "")
    .replace(/[*_`~"'“”„‘’«»#\s]+$/u, "")
  return isTitle(title) ? title : undefined
}

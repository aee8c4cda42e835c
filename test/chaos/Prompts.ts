import type { Random } from "./Random.ts"

/** Stands in the model's text wherever the call that made it leaves its letter (see `Model.ts`). */
export const placeholder = "~"

const words = ["river", "stone 🪨", "amber", "cloud", "lantern 🏮", "meadow", "signal", "harbour", "cöpper", "orchard"]

/** Marked text that tells its place word by word, and in every word which call it is of. */
const story = (marker: string, random: Random): string => {
  const length = random.whole(5, 120)
  return [marker, ...Array.from({ length }, (_, at) => `${random.pick(words)}${at}${placeholder}`)].join(" ")
}

/** What may go wrong with a question by itself, once; most go well. */
const fates: ReadonlyArray<readonly [number, string]> = [
  [60, ""],
  [6, "[[status 503 times 1]]"],
  [5, "[[drop 2 times 1]]"],
  [5, "[[cut 2 times 1]]"],
  [3, "[[error 1 times 1]]"],
  [3, "[[truncate 2 times 1]]"],
  [3, "[[empty times 1]]"],
  [2, "[[status 429 retry 1 times 1]]"],
  [2, "[[reset times 1]]"],
  [3, "[[blocked SAFETY]]"],
  [2, "[[empty]]"],
  [2, "[[status 400]]"],
  [1, "[[status 503 times 9]]"]
]

/** A question nobody else asks, with the answer it is to get in it. */
export const makePrompt = (marker: string, random: Random): string => {
  const chunks = random.weighted([
    [3, "[[chunks 4 delay 20]]"],
    [3, "[[chunks 20 delay 60]]"],
    [3, "[[chunks 40 delay 100]]"],
    [2, "[[chunks 50 delay 160]]"]
  ])
  return [`[[say ${story(marker, random)}]]`, chunks, random.weighted(fates)].filter((part) => part !== "").join(" ")
}

/** The answer a prompt asks for, as the call with this letter writes it. */
export const answerTo = (prompt: string, letter: string): string =>
  (/\[\[say (.*?)\]\]/s.exec(prompt)?.[1] ?? "").replaceAll(placeholder, letter)

/** The name a prompt carries: `#user.room.number#`. */
export const markerIn = (prompt: string): string | undefined => /#\d+\.\d+\.\d+#/.exec(prompt)?.[0]

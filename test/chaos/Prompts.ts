import type { Random } from "./Random.ts"

/** The proxy in `Model.ts` replaces it by the letter of the call. */
export const placeholder = "~"

const words = ["river", "stone 🪨", "amber", "cloud", "lantern 🏮", "meadow", "signal", "harbour", "cöpper", "orchard"]

/** A text in which every word contains its position and the letter of its call. */
const story = (marker: string, random: Random): string => {
  const length = random.whole(5, 120)
  return [marker, ...Array.from({ length }, (_, at) => `${random.pick(words)}${at}${placeholder}`)].join(" ")
}

/** Faults of single questions, with weights; most questions have none. */
const faults: ReadonlyArray<readonly [number, string]> = [
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

/** A unique question that contains the answer it is to get. */
export const makePrompt = (marker: string, random: Random): string => {
  const chunks = random.weighted([
    [3, "[[chunks 4 delay 20]]"],
    [3, "[[chunks 20 delay 60]]"],
    [3, "[[chunks 40 delay 100]]"],
    [2, "[[chunks 50 delay 160]]"]
  ])
  return [`[[say ${story(marker, random)}]]`, chunks, random.weighted(faults)].filter((part) => part !== "").join(" ")
}

/** The answer that a prompt asks for, in the call with this letter. */
export const answerTo = (prompt: string, letter: string): string =>
  (/\[\[say (.*?)\]\]/s.exec(prompt)?.[1] ?? "").replaceAll(placeholder, letter)

/** The marker of a prompt: `#user.room.number#`. */
export const markerIn = (prompt: string): string | undefined => /#\d+\.\d+\.\d+#/.exec(prompt)?.[0]

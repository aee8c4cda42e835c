import fc from "fast-check"
import { assert, describe, it } from "vitest"
import { toDelta } from "../../src/gemini/AnswerEvent.ts"
import { citedIn } from "../../src/gemini/Citations.ts"
import { Continuation } from "../../src/gemini/Continuation.ts"
import { groundingLimits, type HopGrounding, searchesOf } from "../../src/gemini/Grounding.ts"

interface Part {
  readonly text: string
  readonly thought?: boolean
}

const eventOf = (parts: ReadonlyArray<Part>, more: object = {}) => ({
  candidates: [{ content: { role: "model", parts }, ...more }]
})

/** What these events say together, as an answer of one hop each. */
const read = (hops: ReadonlyArray<ReadonlyArray<object>>) => {
  const continuation = new Continuation()
  let content = ""
  let said: ReadonlyArray<HopGrounding> = []
  for (const events of hops) {
    continuation.startHop()
    for (const event of events) {
      const delta = continuation.observe(toDelta(event))
      content += delta.text
      said = delta.grounding ?? said
    }
  }
  return { content, said, ...citedIn(content, said) }
}

const web = (uri: string, title?: string) => ({ web: { uri, ...(title === undefined ? {} : { title }) } })
const support = (start: number, end: number, text: string, chunks = [0]) => ({
  segment: { ...(start === 0 ? {} : { startIndex: start }), endIndex: end, text },
  groundingChunkIndices: chunks
})

const piece = fc.constantFrom(
  "a",
  " ",
  ".",
  "é",
  "ß",
  "川",
  "流",
  "。",
  "🌊",
  "👩‍👩‍👧",
  "🏽",
  "𝄞",
  "\u0301",
  "\r\n",
  "\ud7ff",
  "\uffff"
)
const segmentedHop = fc.array(
  fc.record({ text: fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join("")), isCited: fc.boolean() }),
  {
    minLength: 1,
    maxLength: 8
  }
)

describe("citations", () => {
  it("are where their text is, in 1,000 texts of emoji and CJK over any number of requests", () => {
    let cited = 0
    fc.assert(
      fc.property(fc.array(segmentedHop, { minLength: 1, maxLength: 3 }), fc.boolean(), fc.nat(), (hops, isLate, cut) => {
        const expected: Array<string> = []
        const events = hops.map((segments) => {
          let bytes = 0
          const supports = segments.flatMap(({ isCited, text }) => {
            const start = bytes
            bytes += Buffer.byteLength(text)
            if (!isCited || text === "") return []
            expected.push(text)
            return [support(start, bytes, text)]
          })
          const whole = segments.map(({ text }) => text).join("")
          const metadata = { groundingMetadata: { groundingChunks: [web("https://a.example/")], groundingSupports: supports } }
          const characters = [...whole]
          const at = characters.length === 0 ? 0 : cut % characters.length
          const halves = [characters.slice(0, at).join(""), characters.slice(at).join("")]
          // The metadata comes with the last text or before it, and a thought counts for nothing.
          return halves.map((text, index) =>
            eventOf([{ text: "思考🌊", thought: true }, { text }], (index === 1) === isLate ? metadata : {})
          )
        })
        const { content, dropped, grounding } = read(events)
        const texts = grounding?.citations.map(({ end, start }) => content.slice(start, end)) ?? []
        assert.deepStrictEqual(texts, expected)
        assert.strictEqual(dropped, 0)
        cited += texts.length
      }),
      { numRuns: 1_000 }
    )
    assert.isAbove(cited, 1_000)
  })

  it("are left out and counted where the text is another, or a place is within a character", () => {
    const content = "🌊 sea. 川 river."
    const { dropped, grounding } = read([
      [
        eventOf([{ text: content }], {
          groundingMetadata: {
            groundingChunks: [web("https://a.example/", "a.example")],
            groundingSupports: [
              support(0, 9, "🌊 sea."),
              support(1, 9, "🌊 sea."),
              support(0, 9, "🌊 sea!"),
              support(0, 900, "🌊 sea."),
              support(9, 9, ""),
              { segment: { endIndex: 9 }, groundingChunkIndices: [0] },
              { groundingChunkIndices: [0] },
              { segment: { endIndex: 9, text: "🌊 sea." } },
              support(0, 9, "🌊 sea.", [7])
            ]
          }
        })
      ]
    ])
    assert.deepStrictEqual(grounding?.citations, [{ start: 0, end: 7, sources: [0] }])
    assert.strictEqual(dropped, 5)
  })

  it("may count from the beginning of all requests", () => {
    const metadata = { groundingChunks: [web("https://a.example/")], groundingSupports: [support(4, 7, "two")] }
    const { grounding } = read([[eventOf([{ text: "one " }])], [eventOf([{ text: "two" }], { groundingMetadata: metadata })]])
    assert.deepStrictEqual(grounding?.citations, [{ start: 4, end: 7, sources: [0] }])
  })
})

describe("grounding", () => {
  it("names every page once, by its title or its domain", () => {
    const redirect = "https://vertexaisearch.cloud.google.com/grounding-api-redirect/x"
    const hop = (chunks: ReadonlyArray<object>, index: number) => [
      eventOf([{ text: "Yes." }], {
        groundingMetadata: { groundingChunks: chunks, groundingSupports: [support(0, 4, "Yes.", [index])] }
      })
    ]
    const { grounding } = read([
      hop([web(redirect, "weather.gov"), { retrievedContext: {} }, web("https://b.example/page")], 2),
      hop([web("javascript:alert(1)", "evil"), web(redirect, "weather.gov"), web(redirect)], 1)
    ])
    assert.deepStrictEqual(grounding?.sources, [
      { url: redirect, title: "weather.gov", domain: "weather.gov" },
      { url: "https://b.example/page", title: "b.example", domain: "b.example" },
      { url: redirect, title: "vertexaisearch.cloud.google.com", domain: null }
    ])
    assert.deepStrictEqual(grounding?.citations, [
      { start: 0, end: 4, sources: [1] },
      { start: 4, end: 8, sources: [0] }
    ])
  })

  it("takes the newest metadata of a request, and counts the queries of all", () => {
    const search = (...queries: ReadonlyArray<string>) => ({ groundingMetadata: { webSearchQueries: queries } })
    const { grounding, said } = read([
      [
        eventOf([{ text: "a" }], search("one")),
        eventOf([{ text: "b" }], search("one", "two", " ")),
        eventOf([{ text: "c" }], {})
      ],
      [eventOf([{ text: "d" }], search("two", "three")), eventOf([], { groundingMetadata: {} })]
    ])
    assert.deepStrictEqual(grounding?.searches, ["one", "two", "three"])
    assert.strictEqual(searchesOf(said), 4)
  })

  it("says which addresses were read", () => {
    const urlMetadata = [
      { retrievedUrl: "https://a.example/", urlRetrievalStatus: "URL_RETRIEVAL_STATUS_SUCCESS" },
      { retrievedUrl: "https://b.example/", urlRetrievalStatus: "URL_RETRIEVAL_STATUS_PAYWALL" },
      { retrievedUrl: "https://c.example/", urlRetrievalStatus: "URL_RETRIEVAL_STATUS_UNSAFE" },
      { retrievedUrl: "https://d.example/", urlRetrievalStatus: "SOMETHING_NEW" },
      { retrievedUrl: "https://e.example/" },
      { retrievedUrl: "file:///etc/passwd", urlRetrievalStatus: "URL_RETRIEVAL_STATUS_SUCCESS" }
    ]
    const { grounding } = read([[eventOf([{ text: "a" }], { urlContextMetadata: { urlMetadata } })]])
    assert.deepStrictEqual(
      grounding?.urls.map(({ status }) => status),
      ["success", "paywall", "unsafe", "error", "error"]
    )
  })

  it("is bounded, whatever Google sends", () => {
    const many = (of: (index: number) => unknown) => Array.from({ length: 5_000 }, (_, index) => of(index))
    const metadata = {
      groundingChunks: many((index) => web(`https://a.example/${index}`, "t\u0000\ud800".repeat(1_000))),
      groundingSupports: many(() =>
        support(
          0,
          4,
          "Yes.",
          Array.from({ length: 100 }, (_, index) => index)
        )
      ),
      webSearchQueries: many((index) => `${index} ${"q".repeat(5_000)}`),
      searchEntryPoint: { renderedContent: "x".repeat(groundingLimits.suggestions + 1) }
    }
    const urlMetadata = many(() => ({ retrievedUrl: `https://a.example/${"x".repeat(5_000)}` }))
    const event = eventOf([{ text: "Yes." }], { groundingMetadata: metadata, urlContextMetadata: { urlMetadata } })
    const { grounding } = read([[event], [event]])
    assert.deepStrictEqual(
      [grounding?.sources.length, grounding?.citations.length, grounding?.searches.length, grounding?.urls.length],
      [groundingLimits.sources, groundingLimits.supports, groundingLimits.searches, 0]
    )
    assert.strictEqual(grounding?.searchSuggestions, null)
    assert.strictEqual(grounding?.citations[0]?.sources.length, groundingLimits.sourcesOfCitation)
    const json = JSON.stringify(grounding)
    assert.isBelow(json.length, 524_288)
    assert.isTrue(json.isWellFormed() && !json.includes(String.raw`\u0000`) && !json.includes(String.raw`\ud800`))
  })

  it("never costs the answer", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 4 }), (groundingMetadata, urlContextMetadata) => {
        assert.strictEqual(read([[eventOf([{ text: "Yes." }], { groundingMetadata, urlContextMetadata })]]).content, "Yes.")
      })
    )
    for (const junk of [null, 1, "x", [], [null], { a: 1 }, [{ web: null }], [{ segment: { startIndex: -1, endIndex: "x" } }]]) {
      const groundingMetadata = { groundingChunks: junk, groundingSupports: junk, webSearchQueries: junk, searchEntryPoint: junk }
      const within = {
        groundingChunks: [{ web: { uri: junk } }, { web: { uri: "https://a.example/", title: junk ?? 1 } }],
        groundingSupports: [{ segment: { endIndex: 4, text: "Yes." }, groundingChunkIndices: junk === null ? {} : junk }],
        searchEntryPoint: { renderedContent: junk === "x" ? 1 : junk }
      }
      const nested = read([
        [
          eventOf([{ text: "Yes." }], {
            groundingMetadata: within,
            urlContextMetadata: { urlMetadata: [{ retrievedUrl: junk }] }
          })
        ]
      ])
      assert.strictEqual(nested.content, "Yes.")
      assert.deepStrictEqual([nested.grounding?.citations ?? [], nested.grounding?.searchSuggestions ?? null], [[], null])
      const { grounding } = read([[eventOf([{ text: "Yes." }], { groundingMetadata, urlContextMetadata: junk })]])
      assert.isUndefined(grounding)
    }
  })
})

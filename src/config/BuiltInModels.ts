import type { Model } from "./Models.ts"

/**
 * The models that a server offers without `MODELS`. Prices are Google's, in US dollars per million tokens, as published
 * on https://ai.google.dev/gemini-api/docs/pricing and read on 2026-10-07; retirements are from
 * https://ai.google.dev/gemini-api/docs/deprecations. Cached input costs a tenth of input.
 */
export const builtInModels: readonly [Model, ...Array<Model>] = [
  {
    id: "gemini-3.8-flash",
    name: "Gemini 3.8 Flash",
    tiers: ["basic", "pro"],
    default: true,
    thinking: { levels: ["low", "medium", "high"], default: "medium" },
    tools: ["search", "url"],
    input: ["text", "image", "pdf", "audio"],
    maxOutputTokens: { basic: 2_048, pro: 8_192 },
    contextTokens: { basic: 32_000, pro: 128_000 },
    prices: [
      { from: "2026-09-02", input: 0.75, cached: 0.075, output: 3.75 },
      { from: "2027-01-01", input: 1.5, cached: 0.15, output: 7.5 }
    ],
    retiresAt: null,
    replacement: null
  },
  {
    id: "gemini-3.5-flash-lite",
    name: "Gemini 3.5 Flash-Lite",
    tiers: ["basic", "pro"],
    thinking: { levels: ["minimal", "low", "medium", "high"], default: "minimal" },
    tools: ["search", "url"],
    input: ["text", "image", "pdf", "audio"],
    maxOutputTokens: { basic: 2_048, pro: 8_192 },
    contextTokens: { basic: 32_000, pro: 128_000 },
    prices: [{ from: "2026-01-01", input: 0.3, cached: 0.03, output: 2.5 }],
    retiresAt: null,
    replacement: null
  },
  {
    id: "gemini-3.5-flash",
    name: "Gemini 3.5 Flash",
    tiers: ["basic", "pro"],
    thinking: { levels: ["minimal", "low", "medium", "high"], default: "medium" },
    tools: ["search", "url"],
    input: ["text", "image", "pdf", "audio"],
    maxOutputTokens: { basic: 2_048, pro: 8_192 },
    contextTokens: { basic: 32_000, pro: 128_000 },
    prices: [{ from: "2026-01-01", input: 1.5, cached: 0.15, output: 9 }],
    retiresAt: null,
    replacement: null
  },
  {
    id: "gemini-3.1-pro-preview",
    name: "Gemini 3.1 Pro",
    tiers: ["pro"],
    thinking: { levels: ["low", "medium", "high"], default: "high" },
    tools: ["search", "url"],
    input: ["text", "image", "pdf", "audio"],
    maxOutputTokens: { basic: 2_048, pro: 8_192 },
    // Longer prompts than 200,000 tokens cost twice as much, so that the cap keeps the price exact.
    contextTokens: { basic: 32_000, pro: 128_000 },
    prices: [{ from: "2026-01-01", input: 2, cached: 0.2, output: 12 }],
    retiresAt: null,
    replacement: null
  },
  {
    id: "gemini-2.5-flash",
    name: "Gemini 2.5 Flash",
    tiers: ["basic", "pro"],
    thinking: null,
    tools: ["search", "url"],
    input: ["text", "image", "pdf", "audio"],
    maxOutputTokens: { basic: 2_048, pro: 8_192 },
    contextTokens: { basic: 32_000, pro: 128_000 },
    prices: [{ from: "2026-01-01", input: 0.3, cached: 0.03, output: 2.5 }],
    retiresAt: "2026-12-01",
    replacement: "gemini-3.5-flash-lite"
  },
  {
    id: "gemini-2.5-pro",
    name: "Gemini 2.5 Pro",
    tiers: ["pro"],
    thinking: null,
    tools: ["search", "url"],
    input: ["text", "image", "pdf", "audio"],
    maxOutputTokens: { basic: 2_048, pro: 8_192 },
    contextTokens: { basic: 32_000, pro: 128_000 },
    prices: [{ from: "2026-01-01", input: 1.25, cached: 0.125, output: 10 }],
    retiresAt: "2026-12-01",
    replacement: "gemini-3.8-flash"
  }
]

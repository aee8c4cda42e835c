import type { Model } from "./Models.ts"

/** Prompts longer than 200,000 tokens cost more with some models: the bound of a prompt keeps every price exact. */
const common = {
  tools: ["search", "url"],
  input: ["text", "image", "pdf", "audio"],
  maxOutputTokens: { basic: 2_048, pro: 8_192 },
  contextTokens: { basic: 32_000, pro: 128_000 },
  retiresAt: null,
  replacement: null
} as const

/**
 * The models that a server offers without `MODELS`. Prices are Google's, in US dollars per million tokens, as published
 * on https://ai.google.dev/gemini-api/docs/pricing and read on 2026-10-07; retirements are from
 * https://ai.google.dev/gemini-api/docs/deprecations. Cached input costs a tenth of input.
 */
export const builtInModels: readonly [Model, ...Array<Model>] = [
  {
    ...common,
    id: "gemini-3.8-flash",
    name: "Gemini 3.8 Flash",
    tiers: ["basic", "pro"],
    default: true,
    thinking: { levels: ["low", "medium", "high"], default: "medium" },
    prices: [
      { from: "2026-09-02", input: 0.75, cached: 0.075, output: 3.75 },
      { from: "2027-01-01", input: 1.5, cached: 0.15, output: 7.5 }
    ]
  },
  {
    ...common,
    id: "gemini-3.5-flash-lite",
    name: "Gemini 3.5 Flash-Lite",
    tiers: ["basic", "pro"],
    thinking: { levels: ["minimal", "low", "medium", "high"], default: "minimal" },
    prices: [{ from: "2026-01-01", input: 0.3, cached: 0.03, output: 2.5 }]
  },
  {
    ...common,
    id: "gemini-3.5-flash",
    name: "Gemini 3.5 Flash",
    tiers: ["basic", "pro"],
    thinking: { levels: ["minimal", "low", "medium", "high"], default: "medium" },
    prices: [{ from: "2026-01-01", input: 1.5, cached: 0.15, output: 9 }]
  },
  {
    ...common,
    id: "gemini-3.1-pro-preview",
    name: "Gemini 3.1 Pro",
    tiers: ["pro"],
    thinking: { levels: ["low", "medium", "high"], default: "high" },
    prices: [{ from: "2026-01-01", input: 2, cached: 0.2, output: 12 }]
  },
  {
    ...common,
    id: "gemini-2.5-flash",
    name: "Gemini 2.5 Flash",
    tiers: ["basic", "pro"],
    thinking: null,
    jsonWithTools: false,
    prices: [{ from: "2026-01-01", input: 0.3, cached: 0.03, output: 2.5 }],
    retiresAt: "2026-12-01",
    replacement: "gemini-3.5-flash-lite"
  },
  {
    ...common,
    id: "gemini-2.5-pro",
    name: "Gemini 2.5 Pro",
    tiers: ["pro"],
    thinking: null,
    jsonWithTools: false,
    prices: [{ from: "2026-01-01", input: 1.25, cached: 0.125, output: 10 }],
    retiresAt: "2026-12-01",
    replacement: "gemini-3.8-flash"
  }
]

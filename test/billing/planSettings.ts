/** The prices of the plans, by what they are. */
export const prices = {
  proMonth: "price_simulated_pro",
  proYear: "price_pro_year",
  maxMonth: "price_max_month",
  maxYear: "price_max_year"
} as const

const max = { productId: "prod_max", productName: "Max" }

/** What the simulator sells beside its first price. */
export const otherPrices = [
  { priceId: prices.proYear, productId: "prod_simulated_pro", productName: "Pro", unitAmount: 20_000, interval: "year" as const },
  { priceId: prices.maxMonth, ...max, unitAmount: 5_000, interval: "month" as const },
  { priceId: prices.maxYear, ...max, unitAmount: 50_000, interval: "year" as const }
]

/** Pro, and above it Max with a trial of two weeks. */
export const twoPlans = (trialDays = 14) =>
  JSON.stringify([
    { id: "pro", name: "Pro", prices: { month: prices.proMonth, year: prices.proYear }, dailyPrompts: 100 },
    {
      id: "max",
      name: "Max",
      prices: { month: prices.maxMonth, year: prices.maxYear },
      dailyPrompts: 0,
      dailyBudget: 2.5,
      trialDays
    }
  ])

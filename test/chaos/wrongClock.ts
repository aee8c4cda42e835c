/** Preloaded into a process of the product: shifts its `Date`, and not its monotonic clock, by CLOCK_OFFSET_SECONDS. */
const offset = Number(process.env["CLOCK_OFFSET_SECONDS"] ?? 0) * 1_000

globalThis.Date = new Proxy(Date, {
  construct: (exact, given: ReadonlyArray<unknown>, made) =>
    Reflect.construct(exact, given.length === 0 ? [exact.now() + offset] : given, made),
  get: (exact, name) => (name === "now" ? () => exact.now() + offset : Reflect.get(exact, name))
})

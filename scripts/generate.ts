/** Writes all that is generated and committed; with `--check`, fails when something committed differs. */
await import("./openapi.ts")
await import("./settings.ts")
await import("./collection.ts")

import { defineConfig } from "vitest/config"
import { systemTests, unitTests } from "./test/support/projects.ts"

/** Further tries of a system test: CI gives each one more, because three files of processes share two cores there. */
const retry = Number(process.env["TEST_RETRIES"] ?? 0)

export default defineConfig({
  test: {
    // Three files at a time on two cores: most of the time they wait, for back-offs, leases and processes.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ["default", "./test/support/closingLine.ts"],
    projects: [
      // Unit tests keep no state in modules, so the files of a worker share the imports.
      { extends: true, test: { name: "unit", include: unitTests, isolate: false } },
      { extends: true, test: { name: "system", include: systemTests, globalSetup: "test/support/globalSetup.ts", retry } }
    ]
  }
})

import type { Reporter, TestModule } from "vitest/node"

/** Prints the run's last line, which CI reads: `N passed, N failed`. A broken set-up counts as failed. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, errors: ReadonlyArray<unknown>) {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const groups = modules.flatMap((module) => [module, ...module.children.allSuites()])
    const count = (state: string) => tests.filter((test) => test.result().state === state).length
    const broken = groups.filter((group) => group.errors().length > 0).length + errors.length
    const skipped = count("skipped")
    for (const test of tests)
      if (test.diagnostic()?.flaky === true) process.stdout.write(`\npassed on a second try: ${test.fullName}\n`)
    if (skipped > 0) process.stdout.write(`\n${skipped} skipped\n`)
    process.stdout.write(`\n${count("passed")} passed, ${count("failed") + broken} failed\n`)
  }
}

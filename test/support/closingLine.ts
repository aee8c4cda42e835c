import type { Reporter, TestModule } from "vitest/node"

/** The run's last line, as CI reads it: `N passed, N failed`. What broke around tests, a set-up for one, counts as failed. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, errors: ReadonlyArray<unknown>) {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const groups = modules.flatMap((module) => [module, ...module.children.allSuites()])
    const count = (state: string) => tests.filter((test) => test.result().state === state).length
    const broken = groups.filter((group) => group.errors().length > 0).length + errors.length
    const skipped = count("skipped")
    if (skipped > 0) process.stdout.write(`\n${skipped} skipped\n`)
    process.stdout.write(`\n${count("passed")} passed, ${count("failed") + broken} failed\n`)
  }
}

// The program that dev/main.ts starts again after each change. It ends with its parent, however that dies.
process.once("disconnect", () => process.kill(process.pid, "SIGTERM"))
process.channel?.unref()
await import("../src/main.ts")

import { ConfigProvider, Effect, Layer } from "effect"
import { AppConfig, type Settings } from "../../src/config/Settings.ts"

export type Variables = Record<string, string>

/** Loads the settings from these variables, and names the variables that no setting reads. */
export const settingsFrom = async (given: Variables): Promise<{ settings: Settings; unread: Array<string> }> => {
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ""))
  const source = ConfigProvider.fromUnknown(set)
  const asked = new Set<string>()
  const recording = ConfigProvider.make((path) => {
    asked.add(path.join("."))
    return source.load(path)
  })
  const layer = AppConfig.layer.pipe(Layer.provide(ConfigProvider.layer(recording)))
  const settings = await Effect.runPromise(AppConfig.pipe(Effect.provide(layer)))
  return { settings, unread: Object.keys(set).filter((name) => !asked.has(name)) }
}

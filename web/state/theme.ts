import { effect, signal } from "@preact/signals"
import { remember, remembered } from "./storage.ts"

export type Theme = "light" | "dark" | "system"
const next: Readonly<Record<Theme, Theme>> = { system: "light", light: "dark", dark: "system" }

const stored = remembered("theme")
export const theme = signal<Theme>(stored === "light" || stored === "dark" ? stored : "system")
export const switchTheme = (): void => {
  theme.value = next[theme.value]
}

effect(() => {
  remember("theme", theme.value === "system" ? undefined : theme.value)
  document.documentElement.dataset["theme"] = theme.value
})

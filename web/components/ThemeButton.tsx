import { switchTheme, theme, type Theme } from "../state/theme.ts"
import type { IconName } from "./Icon.tsx"
import { IconButton } from "./IconButton.tsx"

const icons: Readonly<Record<Theme, IconName>> = { system: "system", light: "sun", dark: "moon" }

export const ThemeButton = () => (
  <IconButton icon={icons[theme.value]} label={`Theme: ${theme.value}. Switch`} onClick={switchTheme} />
)

import type { ComponentProps } from "preact"
import { Icon, type IconName } from "./Icon.tsx"

interface Props extends Omit<ComponentProps<"button">, "icon" | "label"> {
  readonly icon: IconName
  /** What it does, for screen readers and as a tooltip. */
  readonly label: string
}

export const IconButton = ({ class: className, icon, label, ...rest }: Props) => (
  <button
    type="button"
    class={`icon-button ${typeof className === "string" ? className : ""}`}
    aria-label={label}
    title={label}
    {...rest}
  >
    <Icon name={icon} />
  </button>
)

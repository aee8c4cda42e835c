import { useSignal } from "@preact/signals"
import { useEffect, useId, useRef } from "preact/hooks"
import { Icon, type IconName } from "./Icon.tsx"
import { IconButton } from "./IconButton.tsx"

interface Item {
  readonly icon: IconName
  readonly label: string
  readonly onSelect: () => void
}

interface Props {
  readonly label: string
  readonly items: ReadonlyArray<Item>
}

const steps: Readonly<Record<string, (index: number, length: number) => number>> = {
  ArrowDown: (index, length) => (index + 1) % length,
  ArrowUp: (index, length) => (index - 1 + length) % length,
  Home: () => 0,
  End: (_, length) => length - 1
}

/** Puts the menu below its button, or above it where there is no room. */
const place = (menu: HTMLElement, button: HTMLElement): void => {
  const { bottom, right, top } = button.getBoundingClientRect()
  const { offsetHeight, offsetWidth } = menu
  const isAbove = bottom + offsetHeight > innerHeight
  menu.style.top = `${isAbove ? top - offsetHeight : bottom}px`
  menu.style.left = `${Math.max(8, right - offsetWidth)}px`
}

/** A menu button as the ARIA practices describe it: arrows, Home and End move, Escape closes. */
export const Menu = ({ items, label }: Props) => {
  const isOpen = useSignal(false)
  const root = useRef<HTMLDivElement>(null)
  const menu = useRef<HTMLDivElement>(null)
  const id = useId()
  const button = () => root.current?.querySelector<HTMLElement>("button")
  const options = () => [...(menu.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])]
  const close = (withFocus: boolean) => {
    isOpen.value = false
    if (withFocus) button()?.focus()
  }
  useEffect(() => {
    const owner = button()
    if (!isOpen.value || menu.current === null || owner === null || owner === undefined) return
    place(menu.current, owner)
    options()[0]?.focus()
    const outside = (event: Event) =>
      event.target instanceof Node && root.current?.contains(event.target) !== true && close(false)
    addEventListener("pointerdown", outside)
    return () => removeEventListener("pointerdown", outside)
  }, [isOpen.value])
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape" || event.key === "Tab") {
      if (event.key === "Escape") event.preventDefault()
      return close(event.key === "Escape")
    }
    const all = options()
    const step = steps[event.key]
    if (step === undefined) return
    event.preventDefault()
    all[
      step(
        all.findIndex((option) => option === document.activeElement),
        all.length
      )
    ]?.focus()
  }
  return (
    <div class="menu-root" ref={root}>
      <IconButton
        icon="more"
        label={label}
        aria-haspopup="menu"
        aria-expanded={isOpen.value}
        aria-controls={isOpen.value ? id : undefined}
        onClick={() => (isOpen.value = !isOpen.value)}
      />
      {isOpen.value && (
        <div ref={menu} id={id} class="menu" role="menu" aria-label={label} tabIndex={-1} onKeyDown={onKeyDown}>
          {items.map(({ icon, label, onSelect }) => (
            <button key={label} type="button" role="menuitem" tabIndex={-1} onClick={() => (close(true), onSelect())}>
              <Icon name={icon} /> {label}
            </button>
          ))}
        </div>
      )}
    </div>
  )
}

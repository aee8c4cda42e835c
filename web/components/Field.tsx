import { useEffect, useId, useRef } from "preact/hooks"

interface Props {
  readonly label: string
  readonly name: string
  readonly value: string
  readonly onInput: (value: string) => void
  readonly hint?: string
  readonly error?: string | undefined
  readonly inputMode?: "tel" | "numeric" | "decimal"
  readonly autocomplete?: "tel" | "one-time-code" | "off"
  readonly pattern?: string
  readonly maxLength?: number
  readonly isRequired?: boolean
  readonly isFocused?: boolean
}

/** A labelled input with its hint and its error, which screen readers read with it. */
export const Field = (props: Props) => {
  const { autocomplete = "off", error, hint, isFocused = false, isRequired = false, label, onInput, ...rest } = props
  const id = useId()
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    if (isFocused) input.current?.focus()
  }, [])
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        ref={input}
        id={id}
        type="text"
        autocomplete={autocomplete}
        required={isRequired}
        aria-describedby={`${id}-hint ${id}-error`}
        aria-invalid={error !== undefined}
        onInput={(event) => onInput(event.currentTarget.value)}
        {...rest}
      />
      <p id={`${id}-hint`} class="hint">
        {hint}
      </p>
      <p id={`${id}-error`} class="field-error" role="alert">
        {error}
      </p>
    </div>
  )
}

import { useSignal } from "@preact/signals"
import { Field } from "./Field.tsx"

interface Props {
  readonly isBusy: boolean
  readonly error: string | undefined
  readonly onSubmit: (mobile: string) => void
}

export const MobileStep = ({ error, isBusy, onSubmit }: Props) => {
  const mobile = useSignal("")
  const submit = (event: Event) => {
    event.preventDefault()
    onSubmit(mobile.value)
  }
  return (
    <form onSubmit={submit}>
      <Field
        label="Mobile number"
        hint="With its country code, such as +91 98765 43210. A new number signs up."
        error={error}
        inputMode="tel"
        name="mobile"
        autocomplete="tel"
        isRequired
        isFocused
        value={mobile.value}
        onInput={(value) => (mobile.value = value)}
      />
      <button type="submit" class="button main" disabled={isBusy}>
        {isBusy ? "Sending…" : "Send a code"}
      </button>
    </form>
  )
}

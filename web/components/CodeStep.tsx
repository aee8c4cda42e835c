import { useSignal } from "@preact/signals"
import { useEffect } from "preact/hooks"
import type { ResponseOf } from "../api/contract.ts"
import { Field } from "./Field.tsx"

export type Challenge = ResponseOf<"POST /auth/send-otp"> & { readonly mobile: string }

interface Props {
  readonly challenge: Challenge
  readonly isBusy: boolean
  readonly error: string | undefined
  readonly onSubmit: (otp: string) => void
  readonly onAgain: () => void
  readonly onBack: () => void
}

/** Seconds until another code can be requested. */
const useCountdown = ({ challengeId, resendAfter }: Challenge) => {
  const left = useSignal(resendAfter)
  useEffect(() => {
    left.value = resendAfter
    const timer = setInterval(() => (left.value = Math.max(0, left.value - 1)), 1_000)
    return () => clearInterval(timer)
  }, [challengeId])
  return left.value
}

export const CodeStep = ({ challenge, error, isBusy, onAgain, onBack, onSubmit }: Props) => {
  const code = useSignal(challenge.otp ?? "")
  const left = useCountdown(challenge)
  useEffect(() => {
    code.value = challenge.otp ?? ""
  }, [challenge])
  const submit = (event: Event) => {
    event.preventDefault()
    onSubmit(code.value.trim())
  }
  return (
    <form onSubmit={submit}>
      <p>
        A code for <strong>{challenge.mobile}</strong>{" "}
        <button type="button" class="link" onClick={onBack}>
          Change
        </button>
      </p>
      {challenge.otp !== undefined && (
        <p class="shown-code">
          This server sends no messages. Your code is <strong>{challenge.otp}</strong>
        </p>
      )}
      <Field
        label="Code"
        inputMode="numeric"
        hint="Six digits, valid for five minutes."
        error={error}
        name="otp"
        autocomplete="one-time-code"
        pattern="\s*\d{6}\s*"
        isRequired
        isFocused
        value={code.value}
        onInput={(value) => (code.value = value)}
      />
      <button type="submit" class="button main" disabled={isBusy}>
        {isBusy ? "Logging in…" : "Log in"}
      </button>
      <button type="button" class="button" disabled={isBusy || left > 0} onClick={onAgain}>
        {left > 0 ? `Another code in ${left} s` : "Send another code"}
      </button>
    </form>
  )
}

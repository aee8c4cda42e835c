import { useId } from "preact/hooks"

interface Props {
  readonly label: string
  readonly value: string
  readonly choices: ReadonlyArray<{ readonly value: string; readonly label: string; readonly isDisabled: boolean }>
  readonly onChange: (value: string) => void
}

export const Select = ({ choices, label, onChange, value }: Props) => {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {choices.map((choice) => (
          <option key={choice.value} value={choice.value} disabled={choice.isDisabled}>
            {choice.label}
          </option>
        ))}
      </select>
    </div>
  )
}

import { useSignal } from "@preact/signals"
import { useId } from "preact/hooks"
import { attempt } from "../state/attempt.ts"
import { defaultModel, type ModelInfo, models, tierName } from "../state/account.ts"
import { closeDialog } from "../state/panels.ts"
import { changeRoom, type Room } from "../state/rooms.ts"
import { Dialog } from "./Dialog.tsx"
import { Field } from "./Field.tsx"
import { Select } from "./Select.tsx"

const longestPrompt = 8_000

const modelChoices = () => [
  { value: "", label: `Default (${defaultModel.value?.name ?? "the server's"})`, isDisabled: false },
  ...models.value.map(({ available, id, name, requiredTier }) => ({
    value: id,
    label: available ? name : `${name} (${requiredTier === "basic" ? "not available" : tierName(requiredTier)})`,
    isDisabled: !available
  }))
]

const levelChoices = (model: ModelInfo | undefined) => [
  { value: "", label: "The model's default", isDisabled: false },
  ...(model?.thinking?.levels ?? []).map((level) => ({ value: level, label: level, isDisabled: false }))
]

const summaryChoices = [
  { value: "", label: "As the server does", isDisabled: false },
  { value: "true", label: "Is summarised", isDisabled: false },
  { value: "false", label: "Is left out", isDisabled: false }
]

const toolLabels = { search: "Search with Google", url: "Read addresses in the question" } as const

/** What of the room's settings is being changed. */
const useDraft = ({ model, summary, systemPrompt, temperature, thinking, tools }: Room) => ({
  model: useSignal(model ?? ""),
  prompt: useSignal(systemPrompt ?? ""),
  temperature: useSignal(temperature === null ? "" : String(temperature)),
  level: useSignal<string>(thinking.level ?? ""),
  summaries: useSignal(thinking.summaries),
  tools: useSignal(tools),
  summary: useSignal(summary === null ? "" : String(summary))
})

type Draft = ReturnType<typeof useDraft>

/** Stores the draft for a room whose model is this one, and closes the dialog. */
const save = async (room: Room, draft: Draft, model: ModelInfo | undefined, level: Room["thinking"]["level"]) => {
  const saved = await attempt(async () => {
    await changeRoom(room.id, {
      model: draft.model.value === "" ? null : draft.model.value,
      systemPrompt: draft.prompt.value === "" ? null : draft.prompt.value,
      temperature: draft.temperature.value === "" ? null : Number(draft.temperature.value),
      thinking: { level, summaries: draft.summaries.value },
      tools: draft.tools.value.filter((tool) => model?.tools.includes(tool)),
      summary: draft.summary.value === "" ? null : draft.summary.value === "true"
    })
    return true
  })
  if (saved === true) closeDialog()
}

const Instructions = ({ prompt }: Pick<Draft, "prompt">) => {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>Instructions for the model</label>
      <textarea
        id={id}
        rows={4}
        maxLength={longestPrompt}
        value={prompt.value}
        onInput={(event) => (prompt.value = event.currentTarget.value)}
      />
    </div>
  )
}

interface CheckProps {
  readonly label: string
  readonly checked: boolean
  readonly onChange: (checked: boolean) => void
}

const Check = ({ checked, label, onChange }: CheckProps) => (
  <label class="check">
    <input type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
    {label}
  </label>
)

interface ToolsProps {
  readonly offered: ModelInfo["tools"]
  readonly chosen: Draft["tools"]
}

const Tools = ({ chosen, offered }: ToolsProps) => (
  <>
    {offered.map((tool) => (
      <Check
        key={tool}
        label={toolLabels[tool]}
        checked={chosen.value.includes(tool)}
        onChange={(checked) =>
          (chosen.value = checked ? [...chosen.value, tool] : chosen.value.filter((known) => known !== tool))
        }
      />
    ))}
  </>
)

export const RoomSettings = ({ room }: { readonly room: Room }) => {
  const draft = useDraft(room)
  const model = models.value.find(({ id }) => id === draft.model.value) ?? defaultModel.value
  const level = model?.thinking?.levels.find((known) => known === draft.level.value) ?? null
  return (
    <Dialog title="Room settings">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void save(room, draft, model, level)
        }}
      >
        <Select
          label="Model"
          value={draft.model.value}
          choices={modelChoices()}
          onChange={(value) => (draft.model.value = value)}
        />
        <Instructions prompt={draft.prompt} />
        <Field
          label="Temperature"
          name="temperature"
          hint="From 0 to 2; empty is the model's default."
          inputMode="decimal"
          pattern="[0-1](\.\d+)?|2(\.0+)?"
          value={draft.temperature.value}
          onInput={(value) => (draft.temperature.value = value)}
        />
        <Select
          label="Thinking"
          value={level ?? ""}
          choices={levelChoices(model)}
          onChange={(value) => (draft.level.value = value)}
        />
        <Check
          label="Show summaries of its thoughts"
          checked={draft.summaries.value}
          onChange={(checked) => (draft.summaries.value = checked)}
        />
        {model !== undefined && <Tools offered={model.tools} chosen={draft.tools} />}
        <Select
          label="Messages that no longer fit into a prompt"
          value={draft.summary.value}
          choices={summaryChoices}
          onChange={(value) => (draft.summary.value = value)}
        />
        <div class="dialog-actions">
          <button type="submit" class="button main">
            Save
          </button>
        </div>
      </form>
    </Dialog>
  )
}

import { me } from "../state/account.ts"
import { attempt } from "../state/attempt.ts"
import { closeDialog, openDialog } from "../state/panels.ts"
import { logOut } from "../state/session.ts"
import { Dialog } from "./Dialog.tsx"
import { Invoices } from "./Invoices.tsx"
import { Links } from "./Links.tsx"
import { Plan } from "./Plan.tsx"
import { Sessions } from "./Sessions.tsx"
import { Usage } from "./Usage.tsx"

const tabs = [
  ["plan", "Plan"],
  ["invoices", "Invoices"],
  ["usage", "Usage"],
  ["sessions", "Sessions"],
  ["links", "Links"]
] as const
type Tab = (typeof tabs)[number][0]

const leave = () => {
  closeDialog()
  void attempt(() => logOut("local"))
}

export const Account = ({ tab }: { readonly tab: Tab }) => (
  <Dialog title="Account" isWide>
    <p class="row">
      <span>
        Logged in as <strong>{me.value?.name ?? me.value?.mobile}</strong>
      </span>
      <button type="button" class="button" onClick={leave}>
        Log out
      </button>
    </p>
    <nav class="tabs" aria-label="Account">
      {tabs.map(([name, label]) => (
        <button
          key={name}
          type="button"
          aria-current={name === tab ? "true" : undefined}
          onClick={() => openDialog({ name: "account", tab: name })}
        >
          {label}
        </button>
      ))}
    </nav>
    {tab === "plan" && <Plan />}
    {tab === "invoices" && <Invoices />}
    {tab === "usage" && <Usage />}
    {tab === "sessions" && <Sessions />}
    {tab === "links" && <Links />}
  </Dialog>
)

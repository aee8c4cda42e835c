import { me, tierName } from "../state/account.ts"
import { openDialog } from "../state/panels.ts"
import { HttpButton } from "./HttpButton.tsx"
import { Icon } from "./Icon.tsx"
import { QuotaMeter } from "./QuotaMeter.tsx"

/** Who is logged in, and what is left of the day; it opens the account. */
export const AccountButton = () => {
  const user = me.value
  if (user === undefined) return <div class="account" />
  return (
    <div class="account">
      <QuotaMeter />
      <div class="row">
        <button type="button" class="account-button" onClick={() => openDialog({ name: "account", tab: "plan" })}>
          <Icon name="user" />
          <span class="account-name">{user.name ?? user.mobile}</span>
          <span class={`tier ${user.tier === "basic" ? "basic" : "pro"}`}>{tierName(user.tier)}</span>
        </button>
        <HttpButton label="account and quota" operations={["GET /user/me", "GET /user/usage"]} />
      </div>
    </div>
  )
}

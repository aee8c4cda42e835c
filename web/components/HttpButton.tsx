import { type HttpFilter, openHttp } from "../state/panels.ts"
import { Icon } from "./Icon.tsx"

/** Opens the panel "As HTTP" at the requests of an action. */
export const HttpButton = (filter: HttpFilter) => (
  <button
    type="button"
    class="icon-button http"
    aria-label={`As HTTP: ${filter.label}`}
    title={`As HTTP: ${filter.label}`}
    onClick={() => openHttp(filter)}
  >
    <Icon name="code" />
  </button>
)

import { announcement, notice, show } from "../state/announcements.ts"
import { IconButton } from "./IconButton.tsx"

/** What happened, for eyes and for screen readers. Always in the page, because a live region that appears with its text is not read. */
export const Notices = () => (
  <>
    <div class="visually-hidden" role="status" aria-live="polite">
      {announcement.value}
    </div>
    <div class="notices" role="alert">
      {notice.value !== undefined && (
        <div class={`notice ${notice.value.kind}`}>
          <span>{notice.value.text}</span>
          <IconButton icon="close" label="Dismiss" onClick={() => show(undefined)} />
        </div>
      )}
    </div>
  </>
)

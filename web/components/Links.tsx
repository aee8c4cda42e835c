import { attempt } from "../state/attempt.ts"
import { loadShares, revokeShare } from "../state/shares.ts"
import { counted, day } from "../text/format.ts"
import { HttpButton } from "./HttpButton.tsx"
import { Loaded } from "./Loaded.tsx"
import { useLoaded } from "./useLoaded.ts"

/** The user's live links to conversations. */
export const Links = () => {
  const loaded = useLoaded(loadShares)
  const revoke = (id: string) => () => void attempt(() => revokeShare(id)).then(loaded.reload)
  return (
    <Loaded from={loaded}>
      {(shares) => (
        <>
          {shares.length === 0 && <p class="empty">No links. Share a room from its menu to create one.</p>}
          <ul class="sessions">
            {shares.map(({ expiresAt, id, title, views }) => (
              <li key={id}>
                <div>
                  <strong>{title}</strong>
                  <span class="hint">
                    {" "}
                    {counted(views, "view")}, {expiresAt === null ? "until it is revoked" : `until ${day(expiresAt)}`}
                  </span>
                </div>
                <button type="button" class="button" onClick={revoke(id)}>
                  Revoke
                </button>
              </li>
            ))}
          </ul>
          <div class="dialog-actions">
            <HttpButton label="shared links" operations={["POST /chatroom/:id/share", "GET /shares", "DELETE /shares/:id"]} />
          </div>
        </>
      )}
    </Loaded>
  )
}

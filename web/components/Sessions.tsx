import { endSession, loadSessions, type Session } from "../state/account.ts"
import { attempt } from "../state/attempt.ts"
import { logOut } from "../state/session.ts"
import { ago } from "../text/format.ts"
import { HttpButton } from "./HttpButton.tsx"
import { Loaded } from "./Loaded.tsx"
import { useLoaded } from "./useLoaded.ts"

/** The browser and system of a user agent, as far as they can be told. */
const deviceOf = ({ userAgent }: Session): string => {
  if (userAgent === null) return "Unknown device"
  const browser = /\b(Edg|OPR|Firefox|Chrome|Safari|curl)\b/.exec(userAgent)?.[1]
  const system = /\b(Windows|Android|iPhone|iPad|Mac OS X|Linux)\b/.exec(userAgent)?.[1]
  return [browser, system].filter((part) => part !== undefined).join(" on ") || userAgent.slice(0, 40)
}

export const Sessions = () => {
  const loaded = useLoaded(loadSessions)
  const end = (action: () => Promise<void>) => () => void attempt(action).then(loaded.reload)
  return (
    <Loaded from={loaded}>
      {(sessions) => (
        <>
          <ul class="sessions">
            {sessions.map((session) => (
              <li key={session.id}>
                <div>
                  <strong>{deviceOf(session)}</strong>
                  <span class="hint"> used {ago(session.lastUsedAt)}</span>
                </div>
                {session.current ? (
                  <span class="tag">This one</span>
                ) : (
                  <button type="button" class="button" onClick={end(() => endSession(session.id))}>
                    End
                  </button>
                )}
              </li>
            ))}
          </ul>
          <div class="dialog-actions">
            <HttpButton label="sessions" operations={["GET /auth/sessions", "DELETE /auth/sessions/:id", "POST /auth/logout"]} />
            {sessions.length > 1 && (
              <button type="button" class="button" onClick={end(() => logOut("others"))}>
                End all others
              </button>
            )}
          </div>
        </>
      )}
    </Loaded>
  )
}

import { Login } from "./components/Login.tsx"
import { Notices } from "./components/Notices.tsx"
import { HttpPanel } from "./components/HttpPanel.tsx"
import { Shell } from "./components/Shell.tsx"
import { isHttpOpen } from "./state/panels.ts"
import { phase } from "./state/session.ts"

const Restoring = () => (
  <main class="restoring">
    <h1 class="visually-hidden">Gemini chat</h1>
    <p role="status">
      <span class="dots" aria-hidden="true" /> One moment
    </p>
  </main>
)

const LoggedOut = () => (
  <div class={`shell out ${isHttpOpen.value ? "with-http" : ""}`}>
    <Login />
    {isHttpOpen.value && <HttpPanel />}
  </div>
)

const phases = { restoring: Restoring, out: LoggedOut, in: Shell }

export const App = () => {
  const Phase = phases[phase.value]
  return (
    <>
      <Phase />
      <Notices />
    </>
  )
}

import { useSignal } from "@preact/signals"
import { messageOf } from "../api/problem.ts"
import { baseUrl } from "../api/transport.ts"
import { logIn, sendCode } from "../state/session.ts"
import { HttpButton } from "./HttpButton.tsx"
import { CodeStep, type Challenge } from "./CodeStep.tsx"
import { MobileStep } from "./MobileStep.tsx"
import { ThemeButton } from "./ThemeButton.tsx"

const points = [
  ["Streams that resume", "Cut the network in the middle of a reply. It continues at the next character."],
  ["Exact quotas", "Every question counts once, and a failure is refunded."],
  ["As HTTP", "Each action here shows its request as a curl command, and the server's response."]
] as const

const Top = () => (
  <header class="login-top">
    <span class="brand">Gemini chat</span>
    <nav aria-label="Page">
      <a href={`${baseUrl}/docs`}>API reference</a>
      <ThemeButton />
    </nav>
  </header>
)

const Pitch = () => (
  <section class="pitch" aria-labelledby="pitch">
    <h1 id="pitch">A chat backend you can watch at work</h1>
    <p>Log in, ask something, and see the reply being written, with each request beside it.</p>
    <dl>
      {points.map(([term, text]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  </section>
)

/** Runs an action, and says while it runs that the form is busy, and afterwards why it failed. */
const useAction = () => {
  const isBusy = useSignal(false)
  const error = useSignal<string | undefined>(undefined)

  const run = async (action: () => Promise<void>) => {
    isBusy.value = true
    error.value = undefined
    try {
      await action()
    } catch (failure) {
      error.value = messageOf(failure)
    } finally {
      isBusy.value = false
    }
  }
  return { error, isBusy, run }
}

export const Login = () => {
  const challenge = useSignal<Challenge | undefined>(undefined)
  const { error, isBusy, run } = useAction()
  const askForCode = (mobile: string) =>
    run(async () => {
      challenge.value = { ...(await sendCode(mobile)), mobile }
    })
  const verify = (otp: string) =>
    run(async () => {
      const { challengeId = "", mobile = "" } = challenge.value ?? {}
      await logIn({ mobile, otp, challengeId })
    })

  return (
    <div class="login">
      <Top />
      <main class="login-main">
        <Pitch />
        <section class="card" aria-labelledby="login">
          <div class="card-title">
            <h2 id="login">Log in</h2>
            <HttpButton label="log in" operations={["POST /auth/send-otp", "POST /auth/verify-otp", "POST /auth/refresh"]} />
          </div>
          {challenge.value === undefined ? (
            <MobileStep isBusy={isBusy.value} error={error.value} onSubmit={askForCode} />
          ) : (
            <CodeStep
              challenge={challenge.value}
              isBusy={isBusy.value}
              error={error.value}
              onSubmit={verify}
              onAgain={() => askForCode(challenge.value?.mobile ?? "")}
              onBack={() => (challenge.value = undefined)}
            />
          )}
        </section>
      </main>
    </div>
  )
}

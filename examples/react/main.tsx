import { useChat } from "@ai-sdk/react"
import { DefaultChatTransport, type UIMessage } from "ai"
import { type FormEvent, useEffect, useState } from "react"
import { createRoot } from "react-dom/client"

/** The address of the server; serve.ts fills it in. */
declare const CHAT_URL: string

/** A message with what the server says of it: a reply that has ended has a status. */
type ChatMessage = UIMessage<{ readonly status?: string }>

const api = `${CHAT_URL}/ai/chat`
const headers = () => ({ authorization: `Bearer ${sessionStorage.getItem("token")}` })
const transport = new DefaultChatTransport<ChatMessage>({ api, headers })

/** The address of the page names the chat, so that it is found again after a reload. The first question opens a new one. */
const id = location.hash.slice(1) || crypto.randomUUID()
history.replaceState(null, "", `#${id}`)

/** The messages of the chat; undefined for a new one. */
const load = async (): Promise<Array<ChatMessage> | undefined> => {
  const response = await fetch(`${api}/${id}`, { headers: headers() })
  if (response.status === 404) return undefined
  if (!response.ok) throw new Error(await response.text())
  return response.json()
}

/** The SDK's own `stop()` only hangs up, and the reply goes on; this stops it. */
const stop = () => fetch(`${api}/${id}/stop`, { method: "POST", headers: headers() })

/** What a refusal says for people: the body of the response is problem+json. */
const detailOf = ({ message }: Error): string => {
  try {
    return JSON.parse(message).detail
  } catch {
    return message
  }
}

const Message = ({ parts, role }: ChatMessage) => (
  <p className={`message ${role}`}>{parts.map((part) => (part.type === "text" ? part.text : "")).join("")}</p>
)

const Chat = ({ loaded }: { readonly loaded: Array<ChatMessage> | undefined }) => {
  // A chat that is there may have a running reply: `resume` shows it from its start.
  const resume = loaded !== undefined
  const { error, messages, regenerate, resumeStream, sendMessage, status } = useChat({
    id,
    messages: loaded ?? [],
    transport,
    resume
  })
  const [text, setText] = useState("")
  const isBusy = status === "submitted" || status === "streaming"
  const newest = messages.at(-1)
  const isInterrupted = newest?.role === "assistant" && newest.metadata?.status === undefined

  const ask = (event: FormEvent) => {
    event.preventDefault()
    if (text.trim() === "") return
    void sendMessage({ text })
    setText("")
  }

  return (
    <main>
      {messages.map((message) => (
        <Message key={message.id} {...message} />
      ))}
      {error !== undefined && (
        <p role="alert">
          {detailOf(error)}{" "}
          <button onClick={() => void (isInterrupted ? resumeStream() : regenerate())}>
            {isInterrupted ? "Resume" : "Try again"}
          </button>
        </p>
      )}
      <form onSubmit={ask}>
        <input aria-label="Question" value={text} onChange={(event) => setText(event.target.value)} />
        {isBusy ? (
          <button type="button" onClick={() => void stop()}>
            Stop
          </button>
        ) : (
          <button>Ask</button>
        )}
      </form>
    </main>
  )
}

const App = () => {
  const [chat, setChat] = useState<{ readonly loaded: Array<ChatMessage> | undefined }>()
  const [problem, setProblem] = useState("")

  const open = () =>
    load().then(
      (loaded) => setChat({ loaded }),
      (error: Error) => setProblem(detailOf(error))
    )
  const begin = (form: FormData) => {
    sessionStorage.setItem("token", String(form.get("token")))
    void open()
  }
  useEffect(() => {
    if (sessionStorage.getItem("token") !== null) void open()
  }, [])

  if (chat !== undefined) return <Chat loaded={chat.loaded} />
  return (
    <form action={begin}>
      <input name="token" aria-label="Access token or API key" placeholder="Access token or API key" required />
      <button>Begin</button>
      <span role="alert">{problem}</span>
    </form>
  )
}

const root = document.getElementById("root")
if (root !== null) createRoot(root).render(<App />)

import {
  AbstractChat,
  type ChatOnDataCallback,
  type ChatOnFinishCallback,
  type ChatState,
  DefaultChatTransport,
  type UIMessage,
  type UIMessageChunk
} from "ai"
import type { Person } from "../support/Client.ts"

class Memory implements ChatState<UIMessage> {
  status: ChatState<UIMessage>["status"] = "ready"
  error: Error | undefined = undefined
  messages: Array<UIMessage>

  constructor(messages: ReadonlyArray<UIMessage>) {
    this.messages = [...messages]
  }

  pushMessage = (message: UIMessage) => {
    this.messages = [...this.messages, message]
  }
  popMessage = () => {
    this.messages = this.messages.slice(0, -1)
  }
  replaceMessage = (index: number, message: UIMessage) => {
    this.messages = this.messages.with(index, structuredClone(message))
  }
  snapshot = <T>(value: T): T => structuredClone(value)
}

type Finish = Parameters<ChatOnFinishCallback<UIMessage>>[0]
type Data = Parameters<ChatOnDataCallback<UIMessage>>[0]

/** The SDK's chat without a framework: what `useChat` does, on the real transport. */
export class Chat extends AbstractChat<UIMessage> {
  readonly errors: Array<Error>
  readonly finishes: Array<Finish>
  readonly data: Array<Data>

  constructor(id: string, transport: DefaultChatTransport<UIMessage>, messages: ReadonlyArray<UIMessage>) {
    const seen = { errors: new Array<Error>(), finishes: new Array<Finish>(), data: new Array<Data>() }
    super({
      id,
      transport,
      state: new Memory(messages),
      onError: (error) => void seen.errors.push(error),
      onFinish: (finish) => void seen.finishes.push(finish),
      onData: (part) => void seen.data.push(part)
    })
    this.errors = seen.errors
    this.finishes = seen.finishes
    this.data = seen.data
  }

  /** The text of the newest reply. */
  get text(): string {
    const last = this.messages.at(-1)
    return last?.role === "assistant" ? textOf(last) : ""
  }
}

export const transportOf = (base: string, token: string) =>
  new DefaultChatTransport<UIMessage>({ api: `${base}/ai/chat`, headers: { authorization: `Bearer ${token}` } })

export const newChat = (
  base: string,
  { token }: Pick<Person, "token">,
  { id = crypto.randomUUID(), messages = [] }: { readonly id?: string; readonly messages?: ReadonlyArray<UIMessage> } = {}
) => new Chat(id, transportOf(base, token), messages)

/** The chat as a page has it that is loaded now. */
export const loadChat = async (base: string, person: Person, id: string): Promise<Chat> => {
  const loaded = await person.call("GET", `/ai/chat/${id}`)
  if (loaded.status !== 200) throw new Error(loaded.text)
  return newChat(base, person, { id, messages: loaded.body })
}

export const textOf = ({ parts }: UIMessage): string => parts.map((part) => (part.type === "text" ? part.text : "")).join("")
export const thoughtsOf = ({ parts }: Pick<UIMessage, "parts">): string =>
  parts.map((part) => (part.type === "reasoning" ? part.text : "")).join("")

/** A message as JSON has it: without members that are undefined. */
export const plain = (message: UIMessage | undefined): unknown => JSON.parse(JSON.stringify(message ?? null))

/** The chunks of a stream's text. */
export const chunksIn = (text: string): Array<UIMessageChunk> =>
  text
    .split("\n\n")
    .filter((event) => event.startsWith("data: {"))
    .map((event) => JSON.parse(event.slice("data: ".length)))

export const streamOf = (chunks: ReadonlyArray<UIMessageChunk>): ReadableStream<UIMessageChunk> =>
  new ReadableStream({
    start: (controller) => {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    }
  })

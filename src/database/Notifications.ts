import type { PgClient } from "@effect/sql-pg"
import { Cause, Context, Effect, Latch, Layer, Queue, Schedule, Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { AppConfig } from "../config/Settings.ts"
import { observedGauge } from "../ops/Metrics.ts"
import { makeClient } from "./Connections.ts"
import { parseTopic, type Topic, type TopicKind } from "./Topics.ts"

/** The one channel of all notifications: with many channels, idle listeners slow down every commit. */
export const channel = "changed"

/** Bytes of a payload; `pg_notify` takes fewer than 8,000. */
const maximumPayload = 7_500

/** Time between two probes of the listener, and time a probe has; a silent listener is lost within their sum. */
const probeEvery = "2 seconds"
const probeWait = "5 seconds"

const connection = { name: "chat-backend notifications", statementMillis: 5_000, silenceMillis: 7_000, connections: 1 }

/** Packs topics, each once, into as few payloads as possible, one topic a line. */
export const packTopics = (topics: Iterable<string>): Array<string> => {
  const payloads: Array<string> = []
  let current = ""
  for (const topic of new Set(topics)) {
    if (current !== "" && current.length + topic.length >= maximumPayload) {
      payloads.push(current)
      current = ""
    }
    current = current === "" ? topic : `${current}\n${topic}`
  }
  return current === "" ? payloads : [...payloads, current]
}

/** Is called with the id of a topic. */
type Handler = (id: string) => void

/**
 * The process's one LISTEN connection, fanned out by topic (`kind:id`).
 *
 * A notification can be lost with the connection, so subscribers treat it as a hint. `onReset` tells them of every
 * lost connection; what they have cached may be out of date then.
 */
export class Notifications extends Context.Service<
  Notifications,
  {
    /** Whether the listener is up. While it is down, nothing cached may be served. */
    readonly connected: () => boolean
    /** Calls `handler` with the id of every topic of a kind, until the scope closes. */
    readonly onKind: (kind: TopicKind, handler: Handler) => Effect.Effect<void, never, Scope.Scope>
    /** Calls `handler` when the listener is lost, and again when it is back, until the scope closes. */
    readonly onReset: (handler: () => void) => Effect.Effect<void, never, Scope.Scope>
    /** How many wait for a topic now. */
    readonly waiting: () => number
    /** Waits until the topic is published, or until interrupted. */
    readonly once: (topic: Topic) => Effect.Effect<void>
    /** Notifies subscribers in this process at once; the writer notifies other processes by `pg_notify`. */
    readonly publishLocal: (topic: Topic) => void
  }
>()("chat-backend/database/Notifications") {
  static readonly layer = Layer.effect(
    Notifications,
    Effect.gen(function* () {
      const { databaseDirect } = yield* AppConfig
      const options = { ...connection, endpoint: databaseDirect }
      const self = `hub:${crypto.randomUUID()}`
      const kinds = new Map<string, Set<Handler>>()
      const waiters = new Map<string, Set<() => void>>()
      const resets = new Set<() => void>()
      let connected = false
      let wasLost = false

      const publishLocal = (topic: string) => {
        const { id, kind } = parseTopic(topic)
        for (const handler of kinds.get(kind) ?? []) handler(id)
        for (const wake of waiters.get(topic) ?? []) wake()
      }
      const setConnected = (up: boolean) => {
        if (connected === up) return
        connected = up
        for (const handler of resets) handler()
        if (up) for (const wakes of waiters.values()) for (const wake of wakes) wake()
      }

      /** Asks the database to notify this process, and fails when the notification does not come in time. */
      const probe = Effect.fnUntraced(function* (client: PgClient.PgClient, echo: Latch.Latch) {
        yield* echo.close
        yield* client`select pg_notify(${channel}, ${self})`
        yield* echo.await
      }, Effect.timeout(probeWait))

      /**
       * Listens until the connection is lost, and says so at once: `connected` is false before anything of the dead
       * connection is waited for. Both connections are new each time, as idle ones of a pool may be as dead.
       */
      const listen = Effect.gen(function* () {
        const [listener, prober] = yield* Effect.all([makeClient(options), makeClient(options)])
        const notifications = yield* Effect.timeout(listener.listen(channel), probeWait)
        const echo = yield* Latch.make(false)
        setConnected(true)
        if (wasLost) yield* Effect.logInfo("The notification listener is back")
        wasLost = false
        const receive = Effect.gen(function* () {
          while (true) {
            const { payload } = yield* Queue.take(notifications)
            for (const topic of payload.split("\n")) {
              if (topic === self) yield* echo.open
              else publishLocal(topic)
            }
          }
        })
        yield* Effect.raceFirst(receive, Effect.repeat(probe(prober, echo), Schedule.spaced(probeEvery)))
      }).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            wasLost ||= connected
            setConnected(false)
          })
        ),
        Effect.tapCause((cause) =>
          Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logWarning("Lost the notification listener", cause)
        )
      )

      /** Closing a dead connection takes until its silence is noticed, so that is not waited for. */
      const listenInOwnScope = Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* listen.pipe(
          Scope.provide(scope),
          Effect.onExit((exit) => Effect.forkDetach(Scope.close(scope, exit)))
        )
      })

      yield* listenInOwnScope.pipe(
        Effect.retry(Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")])),
        Effect.forkScoped
      )

      const subscribe = <A>(set: Set<A>, item: A) =>
        Effect.acquireRelease(
          Effect.sync(() => void set.add(item)),
          () => Effect.sync(() => void set.delete(item))
        )

      const once = (topic: Topic) =>
        Effect.callback<void>((resume) => {
          // A wait that is woken leaves by itself: the returned effect runs only when the wait is interrupted.
          const leave = () => {
            wakes.delete(wake)
            if (wakes.size === 0 && waiters.get(topic) === wakes) waiters.delete(topic)
          }
          const wake = () => {
            leave()
            resume(Effect.void)
          }
          const wakes = waiters.get(topic) ?? new Set()
          waiters.set(topic, wakes.add(wake))
          return Effect.sync(leave)
        })

      const waiting = () => [...waiters.values()].reduce((sum, wakes) => sum + wakes.size, 0)
      yield* observedGauge("chat_notification_waiters", "Requests of this process that wait for a change.", waiting)

      return Notifications.of({
        connected: () => connected,
        onKind: (kind, handler) => {
          const handlers = kinds.get(kind) ?? new Set()
          kinds.set(kind, handlers)
          return subscribe(handlers, handler)
        },
        onReset: (handler) => subscribe(resets, handler),
        once,
        waiting,
        publishLocal
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))
}

import { Context, Effect, Latch, Layer } from "effect"
import { SqlClient } from "effect/sql"

/** Links whose views are counted between two writes; views of further ones are not counted. */
const maximumLinks = 10_000
/** How long views are collected before they are written. */
const pause = "1 minute"

/** Counts views of links. A process writes a link at most once a minute, however often it is opened. */
export class ShareViews extends Context.Service<
  ShareViews,
  { readonly add: (share: { readonly userId: string; readonly id: string }) => void }
>()("chat-backend/shares/ShareViews") {
  static readonly layer = Layer.effect(
    ShareViews,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const latch = yield* Latch.make(false)
      const views = new Map<string, { readonly userId: string; readonly id: string; readonly count: number }>()

      const write = Effect.gen(function* () {
        const counted = [...views.values()].map(({ count, id, userId }) => ({ user_id: userId, id, count }))
        views.clear()
        yield* latch.close
        if (counted.length === 0) return
        // Locked in the order of the key, so that two processes cannot deadlock.
        yield* sql`
          update shares s set views = s.views + locked.count from (
            select k.user_id, k.id, v.count
            from shares k join json_to_recordset(${JSON.stringify(counted)}::text::json) as v (user_id uuid, id uuid, count int)
              on v.user_id = k.user_id and v.id = k.id
            order by k.user_id, k.id for no key update of k
          ) locked where s.user_id = locked.user_id and s.id = locked.id
        `
      }).pipe(Effect.catchTag("SqlError", (error) => Effect.logWarning("Views of links were not counted", error)))

      yield* Effect.addFinalizer(() => write)
      yield* latch.await.pipe(Effect.andThen(write), Effect.andThen(Effect.sleep(pause)), Effect.forever, Effect.forkScoped)

      return ShareViews.of({
        add: ({ id, userId }) => {
          const known = views.get(id)
          if (known === undefined && views.size >= maximumLinks) return
          views.set(id, { userId, id, count: (known?.count ?? 0) + 1 })
          latch.openUnsafe()
        }
      })
    })
  )
}

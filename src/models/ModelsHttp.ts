import { Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { entityTag, matchingTag } from "../http/EntityTags.ts"
import { Models } from "./Models.ts"

export const ModelsHttp = HttpApiBuilder.group(
  Api,
  "models",
  Effect.fn(function* (handlers) {
    const models = yield* Models

    return handlers.handleAll({
      list: Effect.fnUntraced(function* ({ headers }) {
        const { tier } = yield* CurrentUser
        const body = JSON.stringify({ data: yield* models.list(tier) })
        const etag = entityTag(body)
        const fresh = { etag, "cache-control": "private, max-age=300" }
        const known = matchingTag(headers["if-none-match"], etag)
        if (known !== undefined) return HttpServerResponse.empty({ status: 304, headers: { ...fresh, etag: known } })
        return HttpServerResponse.text(body, { contentType: "application/json", headers: fresh })
      })
    })
  })
)

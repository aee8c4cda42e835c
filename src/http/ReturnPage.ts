import { HttpServerResponse } from "effect/http"
import type { HttpServerRequest } from "effect/http"
import type { FrontEnd } from "../config/FrontEnd.ts"

/** Says nothing about the payment: anybody can open the address. */
const page = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Back from the checkout</title></head>
<body>
<h1>Thank you</h1>
<p>You are back from the checkout. Your plan changes within seconds of the payment.</p>
<p>You can close this page and return to the app.</p>
</body>
</html>
`

/** A browser that opens a page, and cannot send a token. */
export const isOpenedByBrowser = ({ headers }: HttpServerRequest.HttpServerRequest): boolean =>
  /\btext\/html\b/i.test(headers["accept"] ?? "")

/** What a person sees who comes from the checkout: the front end, or a page without data. */
export const returnPage = (
  { url }: HttpServerRequest.HttpServerRequest,
  { afterReturn }: FrontEnd
): HttpServerResponse.HttpServerResponse => {
  const sessionId = new URLSearchParams(url.split("?", 2)[1]).get("session_id") ?? ""
  return afterReturn === undefined
    ? HttpServerResponse.text(page, { contentType: "text/html; charset=utf-8" })
    : HttpServerResponse.redirect(`${afterReturn}${encodeURIComponent(sessionId)}`, { status: 303 })
}

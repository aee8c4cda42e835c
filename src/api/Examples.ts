/**
 * Values of the document's examples, which belong together: on a Saturday morning Ada registers, logs in, opens a
 * room and asks a question; later she subscribes. Ids are UUIDv7 that match the times.
 */
export const ada = {
  id: "01a1fd70-f1c0-7a11-8c22-3d4455667701",
  mobile: "+919876543210",
  name: "Ada Lovelace",
  email: "ada@example.com",
  password: "a loom that weaves numbers",
  userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
  /** Has the shape of a real token but no valid signature. */
  token: "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmVkIGJ5IG5vYm9keQ",
  apiKey: "gcb_YS1rZXktd2l0aC0zMi1yYW5kb20tYnl0ZXMtZm9yLWEAAAAAA",
  shareToken: "YS1saW5rLXdpdGgtMzItcmFuZG9tLWJ5dGVzLW9mLWE",
  refreshToken: "YWRhLnNlc3Npb24uMA.c2lnbmVkIGJ5IG5vYm9keQ"
}

export const ids = {
  challenge: "01a1fd71-0548-7b12-9c23-4d4455667702",
  session: "01a1fd71-3fe0-7c13-8c24-5d4455667703",
  room: "01a1fd71-dc20-7d14-9c25-6d4455667704",
  question: "01a1fd72-c680-7e15-8c26-7d4455667705",
  reply: "01a1fd72-c680-7e15-9c27-8d4455667706",
  apiKey: "01a1fd78-a5a0-7f17-8c29-ad4455667708",
  share: "01a1fd78-a5a0-7f16-8c28-9d4455667707",
  file: "01a1fd72-b2f8-7f16-8c28-9d4455667707",
  request: "8f14e45f-ceea-467f-9c2b-5d1f0c2a7b90"
}

export const times = {
  signedUp: "2026-11-21T09:30:00.000Z",
  loggedIn: "2026-11-21T09:30:20.000Z",
  roomOpened: "2026-11-21T09:31:00.000Z",
  asked: "2026-11-21T09:32:00.000Z",
  answered: "2026-11-21T09:32:02.480Z",
  shared: "2026-11-21T09:38:25.000Z",
  subscribed: "2026-11-21T09:40:00.000Z",
  checkoutExpires: "2026-11-21T10:38:00.000Z",
  midnight: "2026-11-22T00:00:00.000Z",
  periodEnds: "2026-12-21T09:40:00.000Z"
}

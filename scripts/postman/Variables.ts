/** The collection's variables, and what they hold. */
export const variables = {
  baseUrl: "Where the server is, with API_PREFIX if it has one. The environment's value is used first.",
  adminToken: "The server's ADMIN_TOKEN. While it is empty, the operator's routes must refuse.",
  webhookSecret: "One of the server's STRIPE_WEBHOOK_SECRETS; the initial value is that of `npm run dev`.",
  mobile: "The user's mobile number: random, new with each sign-up.",
  password: "The user's password: random, new with each sign-up.",
  otp: "The last one-time code. Fill it in by hand where the server delivers its codes.",
  signupToken: "The secret of the sign-up, with which its password, name and e-mail are adopted.",
  challengeId: "The challenge that the last code belongs to.",
  token: "The access token that every request inherits.",
  refreshToken: "The refresh token.",
  ticket: "The ticket of a request that sends no token.",
  secondToken: "The access token of a second device, or of a second user.",
  secondSessionId: "The session of the second device.",
  fileId: "An uploaded file.",
  roomId: "The chatroom of the questions.",
  secondRoomId: "A chatroom to delete.",
  idempotencyKey: "The last idempotency key.",
  etag: "The version of the list of chatrooms.",
  cursor: "The start of the list's next page.",
  replyId: "The last reply.",
  apiKey: "An API key.",
  apiKeyId: "The id of that key.",
  shareId: "A shared link.",
  shareToken: "The token of that link: the last part of its address.",
  questionId: "A question that is edited and deleted.",
  lastEventId: "The last event of a reply's stream, as attempt:offset.",
  dailyLimit: "The prompts a day of the user's tier.",
  tries: "How often the current request was repeated.",
  billing: "How the server bills: simulator, stripe or off. Empty until Subscribe to Pro is sent.",
  checkoutUrl: "The page to pay on.",
  checkoutId: "The checkout session.",
  webhookBody: "The last webhook event, byte for byte as it was signed."
}

/** The other variables are empty until requests or the user fill them. */
export const initialValues: Readonly<Record<string, string>> = {
  baseUrl: "http://localhost:3000",
  webhookSecret: "whsec_development"
}

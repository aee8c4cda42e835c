import type { Variable } from "../Overlay.ts"

/** What people may set. */
const settings: ReadonlyArray<Variable> = [
  {
    key: "baseUrl",
    value: "http://localhost:3000",
    about: "Where the server is, with API_PREFIX if it has one. An environment's value goes first."
  },
  { key: "adminToken", value: "", about: "The server's ADMIN_TOKEN. Without it the operator's routes must refuse." },
  {
    key: "webhookSecret",
    value: "whsec_development",
    about: "One of the server's STRIPE_WEBHOOK_SECRETS; as it stands, that of `npm run dev`."
  }
]

const caught = (key: string, about: string): Variable => ({ key, value: "", about })

/** What the scripts catch. */
const captured: ReadonlyArray<Variable> = [
  caught("mobile", "A random mobile number, new with each sign-up."),
  caught("password", "A random password, new with each sign-up."),
  caught("otp", "The last one-time code. Fill it in by hand when the server sends codes instead of answering with them."),
  caught("signupToken", "The secret of the sign-up, with which its password, name and e-mail are adopted."),
  caught("challengeId", "What the last code belongs to."),
  caught("token", "The access token that every request inherits."),
  caught("refreshToken", "What gets the next access token."),
  caught("userId", "The user's id."),
  caught("newPassword", "The password after it was changed."),
  caught("secondToken", "The access token of a second device."),
  caught("secondSessionId", "The session of the second device."),
  caught("roomId", "The chatroom that is talked in."),
  caught("secondRoomId", "A chatroom to be deleted."),
  caught("roomKey", "The idempotency key of the first chatroom."),
  caught("etag", "The version of the room list that was read."),
  caught("cursor", "Where the next page of the list begins."),
  caught("messageKey", "The idempotency key of a question."),
  caught("questionId", "The last question."),
  caught("replyId", "The reply to it."),
  caught("replyText", "Its text."),
  caught("position", "The end of a reply's stream, as attempt:offset."),
  caught("dailyLimit", "The prompts a day of the user's tier."),
  caught("remaining", "The prompts that are left today."),
  caught("tries", "How often the current request was repeated."),
  caught("billing", "How the server is billing: simulator, stripe, off; empty until Subscribe to Pro was sent."),
  caught("checkoutUrl", "Stripe's page, where the subscription is paid."),
  caught("checkoutId", "The checkout's session at Stripe."),
  caught("webhookBody", "An event, byte for byte as it was signed."),
  caught("webhookSignature", "The signature of the event."),
  caught("otherMobile", "Another person's number."),
  caught("otherOtp", "Another person's one-time code."),
  caught("wrongOtp", "A code that is not theirs."),
  caught("otherToken", "Another person's access token."),
  caught("otherRoomId", "Another person's chatroom."),
  caught("strangerMobile", "A third person's number."),
  caught("strangerOtp", "A third person's one-time code."),
  caught("strangerToken", "A third person's access token.")
]

export const variables = [...settings, ...captured]

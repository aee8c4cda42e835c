import { freshMobile, personAt, request } from "../support/Client.ts"

/** Signs up with a password (which needs the native addon), logs in, asks a question and returns the reply. */
export const signUpAndAsk = async (url: string, content: string): Promise<string> => {
  const mobile = freshMobile()
  const signup = await request(url, "POST", "/auth/signup", { body: { mobile, password: "a long and unusual one" } })
  if (signup.status !== 201) throw new Error(`no sign-up: ${signup.text}`)
  const { otp } = (await request(url, "POST", "/auth/send-otp", { body: { mobile } })).body
  const login = await request(url, "POST", "/auth/verify-otp", { body: { mobile, otp } })
  if (login.status !== 200) throw new Error(`no login: ${login.text}`)
  const person = personAt(url, { mobile, token: login.body.token, userId: login.body.user.id })
  const answered = await person.ask(await person.room(), content, { wait: 20 })
  return answered.body.reply.content
}

import { startTestBackend, type TestBackend, type TestBackendOptions } from "./TestBackend.ts"
import type { Person, Reply } from "../support/Client.ts"
import { otherPrices, twoPlans } from "./planSettings.ts"

export const startTwoPlans = ({ backends = [{}], simulator = {}, ...rest }: TestBackendOptions = {}): Promise<TestBackend> =>
  startTestBackend({
    ...rest,
    simulator: { otherPrices, ...simulator },
    backends: backends.map((own) => ({ PLANS: twoPlans(), ...own }))
  })

export const subscribeTo = (person: Person, plan: string, body?: object): Promise<Reply> =>
  person.call("POST", `/subscribe/${plan}`, body)

/** A person with a subscription that the backend knows. */
export const newSubscriberTo = async (
  backend: TestBackend,
  plan: string,
  { action = "pay", body }: { readonly action?: "pay" | "start"; readonly body?: object } = {}
): Promise<Person> => {
  const person = await backend.newUser()
  const opened = await subscribeTo(person, plan, body)
  if (opened.status !== 201) throw new Error(`no checkout: ${opened.status} ${opened.text}`)
  backend.stripe.checkout({ session: opened.body.sessionId, action })
  await backend.waitUntilIdle()
  return person
}

import { logIn, type Person } from "./Client.ts"
import { forgetThrottles, type TestDatabase } from "./Database.ts"

/** Logs in a new user, without the limit of codes for one address. */
export const newUser = async (base: string, database: Pick<TestDatabase, "query">): Promise<Person> => {
  await forgetThrottles(database)
  return logIn(base)
}

/** Logs in `count` new users, ten at a time. */
export const newUsers = async (
  base: string,
  database: Pick<TestDatabase, "query">,
  count: number
): Promise<ReadonlyArray<Person>> => {
  const users: Array<Person> = []
  while (users.length < count) {
    await forgetThrottles(database)
    const next = Math.min(10, count - users.length)
    users.push(...(await Promise.all(Array.from({ length: next }, () => logIn(base)))))
  }
  return users
}

import { setTimeout as sleep } from "node:timers/promises"
import { newUser } from "../support/Users.ts"
import type { Experiment } from "./Experiment.ts"
import type { Random } from "./Random.ts"
import { Recovery } from "./Recovery.ts"
import { SimulatedUser } from "./SimulatedUser.ts"
import type { SupervisedProcess } from "./SupervisedProcess.ts"

/** Users who chat in two windows each, half of them on Pro; and Pro users who only change their rooms. */
export interface Population {
  readonly chatting: number
  readonly editing: number
}

/** Whether the user of a number is on Pro. */
export const isProOf =
  ({ chatting }: Population) =>
  (number: number): boolean =>
    number % 2 === 1 || number >= chatting

/** Waits until every process has started. */
export const awaitUp = async (processes: ReadonlyArray<SupervisedProcess>) => {
  for (const deadline = Date.now() + 120_000; !processes.every((process) => process.isRunning); await sleep(50)) {
    if (Date.now() > deadline)
      throw new Error(`the processes did not start: ${processes.map((process) => process.current?.output()).join("\n")}`)
  }
}

/** Logs in all users, with rooms. */
export const logInAll = async (experiment: Experiment, random: Random, population: Population): Promise<Array<SimulatedUser>> => {
  const isPro = isProOf(population)
  const simulatedUsers: Array<SimulatedUser> = []
  for (let number = 0; number < population.chatting + population.editing; number++) {
    const person = await newUser(experiment.apis[number % 2 === 0 ? 0 : 1].url, experiment.database)
    if (isPro(number))
      await experiment.database.query("update users set pro_until = now() + interval '1 day' where id = $1", [person.userId])
    const simulatedUser = new SimulatedUser(experiment, number, person, random.fork())
    for (let rooms = 0; rooms < (number < population.chatting ? 4 : 20); rooms++) {
      const room = await simulatedUser.openRoom(experiment.apis[0], number < population.chatting ? 0 : 1_500)
      if (room !== undefined) simulatedUser.rooms.push(room)
    }
    simulatedUsers.push(simulatedUser)
  }
  return simulatedUsers
}

/** A user of its own, on Pro, with a first room. */
export const logInRecovery = async (experiment: Experiment, random: Random, number: number): Promise<Recovery> => {
  const person = await newUser(experiment.apis[1].url, experiment.database)
  await experiment.database.query("update users set pro_until = now() + interval '1 day' where id = $1", [person.userId])
  const recovery = new Recovery(experiment, number, person, random)
  const room = await recovery.openRoom(experiment.apis[1])
  if (room !== undefined) recovery.rooms.push(room)
  return recovery
}

/** Begins what all users do until the experiment closes. */
export const use = (users: ReadonlyArray<SimulatedUser>, { chatting }: Population): ReadonlyArray<Promise<void>> =>
  users.flatMap((user, number) => (number < chatting ? [user.chat(), user.chat()] : [user.editRooms()]))

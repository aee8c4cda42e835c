import { script } from "../../Overlay.ts"

/** A number that nobody has. */
export const newNumber = (variable: string) => script`
  pm.collectionVariables.set("${variable}", "+9198" + String(Math.floor(Math.random() * 1e8)).padStart(8, "0"))
`
/** An id of the right form. */
export const nobodysId = "01890000-0000-7000-8000-000000000000"
/** Sent by the other person. */
export const other = { as: "otherToken" }

/** That a member of the body, or a parameter, is what was refused. */
export const complainsOf = (path: string) => script`
  pm.test("It says where", () => pm.expect(pm.response.json().errors.map(({ path }) => path)).to.include("${path}"))
`

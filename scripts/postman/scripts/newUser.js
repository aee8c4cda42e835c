/** A new mobile number and a new password, so that every run has users of its own. */
const digits = () => String(Math.floor(Math.random() * 1e8)).padStart(8, "0")
for (const name of ["otp", "challengeId", "signupToken", "tries", "billing"]) pm.collectionVariables.set(name, "")
pm.collectionVariables.set("mobile", `+9198${digits()}`)
pm.collectionVariables.set("password", `correct horse ${digits()}`)

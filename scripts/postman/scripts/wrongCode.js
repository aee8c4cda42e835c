/** Six digits that are not the code. */
const next = (Number(pm.variables.get("otp")) + 1) % 1e6
pm.variables.set("wrongOtp", String(next).padStart(6, "0"))

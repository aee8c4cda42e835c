import { Layer } from "effect"
import { Accounts } from "./Accounts.ts"
import { AddressLimits } from "./AddressLimits.ts"
import { ApiKeys } from "./ApiKeys.ts"
import { AuthEvents } from "./AuthEvents.ts"
import { CodeAllowances } from "./CodeAllowances.ts"
import { CodeSender } from "./CodeSender.ts"
import { Otp } from "./Otp.ts"
import { PasswordChanges } from "./PasswordChanges.ts"
import { Passwords } from "./Passwords.ts"
import { Sessions } from "./Sessions.ts"
import { SignupTokens } from "./SignupTokens.ts"
import { Throttle } from "./Throttle.ts"
import { Tickets } from "./Tickets.ts"
import { Tokens } from "./Tokens.ts"
import { Users } from "./Users.ts"

/** Logging in: codes, passwords, tokens, sessions and their limits. */
export const AuthLayer = Layer.mergeAll(Accounts.layer, PasswordChanges.layer, Tickets.layer).pipe(
  Layer.provideMerge(ApiKeys.layer),
  Layer.provideMerge([
    Tokens.layer,
    Users.layer,
    Sessions.layer,
    Otp.layer,
    AuthEvents.layer,
    Passwords.layer,
    AddressLimits.layer,
    SignupTokens.layer
  ]),
  Layer.provideMerge(CodeAllowances.layer),
  Layer.provideMerge([Throttle.layer, CodeSender.layer])
)

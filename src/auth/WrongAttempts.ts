const tags: ReadonlySet<string> = new Set(["OtpInvalid", "OtpAttemptsExceeded", "CredentialsInvalid", "TooManyAttempts"])

/** Whether an attempt that failed this way counts as wrong. One that a limit refused counts as wrong, too. */
export const isWrong = ({ _tag }: { readonly _tag: string }): boolean => tags.has(_tag)

import { messageOf, Problem } from "../api/problem.ts"

const texts: Readonly<Record<string, string>> = {
  file_empty: "The file is empty.",
  file_too_large: "It is too large. An image may have 10 MB, a PDF 20 MB and 200 pages, audio 20 MB, text 1 MB.",
  file_type_not_supported: "This type is not supported. Images, PDF, audio and text are.",
  file_unreadable: "It cannot be read: it is damaged or locked, or it is not what its name says.",
  storage_full: "Your storage is full. Files are deleted with the rooms that use them.",
  uploads_limited: "You have uploaded too many files in the last hour. Try again later."
}

/** Why a file was not attached, for people. */
export const refusalOf = (error: unknown): string => {
  if (!(error instanceof Problem)) return messageOf(error)
  if (error.code !== "attachments_not_in_plan") return texts[error.code] ?? messageOf(error)
  return error.upgradeUrl === undefined ? "This server takes no files." : "Files are part of Pro."
}

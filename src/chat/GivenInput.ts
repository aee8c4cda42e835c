/** A turn that a request brings along. */
export interface GivenTurn {
  readonly role: "user" | "model"
  /** Empty only beside files. */
  readonly text: string
  /** Ids of the turn's files, which are among the attachments of the question. Absent without. */
  readonly files?: ReadonlyArray<string>
}

/** What a question outside of chats brings: the turns before it, and which of its attachments are its own. */
export interface GivenInput {
  readonly turns: ReadonlyArray<GivenTurn>
  readonly files: ReadonlyArray<string>
}

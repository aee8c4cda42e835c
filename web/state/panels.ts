import { computed, signal } from "@preact/signals"
import { type Exchange, exchanges } from "../api/exchanges.ts"
import type { Operation } from "../api/contract.ts"

/** The dialog that is open. */
export type Dialog =
  | { readonly name: "account"; readonly tab: "plan" | "invoices" | "usage" | "sessions" | "links" }
  | { readonly name: "receipt"; readonly replyId: string }
  | { readonly name: "settings"; readonly roomId: string }
  | { readonly name: "rename"; readonly roomId: string }
  | { readonly name: "delete"; readonly roomId: string }
  | { readonly name: "share"; readonly roomId: string }

export const dialog = signal<Dialog | undefined>(undefined)
export const openDialog = (next: Dialog): void => {
  dialog.value = next
}
export const closeDialog = (): void => {
  dialog.value = undefined
}

/** Whether the list of rooms covers a small screen. */
export const showsRooms = signal(false)

/** What the panel "As HTTP" shows: everything, or the requests of one action. */
export interface HttpFilter {
  readonly label: string
  readonly operations: ReadonlyArray<Operation>
  /** A part of the path, such as the id of a message. */
  readonly about?: string | undefined
}

export const isHttpOpen = signal(false)
export const httpFilter = signal<HttpFilter | undefined>(undefined)

const matches =
  ({ about, operations }: HttpFilter) =>
  ({ answer, operation, path }: Exchange): boolean =>
    operations.includes(operation) && (about === undefined || path.includes(about) || answer.includes(about))

export const shownExchanges = computed(() =>
  httpFilter.value === undefined ? exchanges.value : exchanges.value.filter(matches(httpFilter.value))
)

export const openHttp = (filter?: HttpFilter): void => {
  // A dialog would cover it.
  closeDialog()
  httpFilter.value = filter
  isHttpOpen.value = true
}

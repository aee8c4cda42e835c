import { computed, signal } from "@preact/signals"
import { call } from "../api/client.ts"
import { uploadFile } from "../api/files.ts"
import { refusalOf } from "../text/refusals.ts"
import { announce, show } from "./announcements.ts"
import { openDownload } from "./download.ts"
import type { Message } from "./messages.ts"

/** Files that a question may have. */
const most = 10

/** A file beside the question that is being written. It is being uploaded until it has an id or a refusal. */
export interface DraftFile {
  readonly key: number
  readonly file: File
  /** The address of a picture's own bytes. */
  readonly preview: string | undefined
  readonly id?: string
  readonly refusal?: string
}
export type SentFile = Message["attachments"][number]

export const draftFiles = signal<ReadonlyArray<DraftFile>>([])
export const isUploading = computed(() => draftFiles.value.some(({ id, refusal }) => id === undefined && refusal === undefined))
/** The ids of those that were accepted; the same bytes twice are one file. */
export const attachedIds = computed(() => [...new Set(draftFiles.value.flatMap(({ id }) => id ?? []))])

/** Types that a browser shows as a picture. */
export const isPicture = (type: string): boolean => /^image\/(?:png|jpeg|webp|heic|heif)$/.test(type)

const uploads = new Map<number, AbortController>()
let count = 0

const change = (key: number, fields: Partial<DraftFile>): void => {
  draftFiles.value = draftFiles.value.map((known) => (known.key === key ? { ...known, ...fields } : known))
}

const upload = async (file: File): Promise<void> => {
  const key = ++count
  const controller = new AbortController()
  uploads.set(key, controller)
  draftFiles.value = [...draftFiles.value, { key, file, preview: isPicture(file.type) ? URL.createObjectURL(file) : undefined }]
  try {
    const { id } = await uploadFile(file, controller.signal)
    change(key, { id })
    announce(`${file.name} is attached`)
  } catch (error) {
    if (controller.signal.aborted) return
    const refusal = refusalOf(error)
    change(key, { refusal })
    announce(`${file.name} is not attached. ${refusal}`)
  } finally {
    uploads.delete(key)
  }
}

export const addFiles = (files: Iterable<File>): void => {
  const list = [...files]
  const free = most - draftFiles.value.length
  if (list.length > free) show({ kind: "error", text: `A question may have ${most} files` })
  for (const file of list.slice(0, Math.max(0, free))) void upload(file)
}

/** Frees what the browser keeps for files that are no longer shown. */
export const releaseFiles = (files: ReadonlyArray<DraftFile>): void => {
  for (const { key, preview } of files) {
    uploads.get(key)?.abort()
    if (preview !== undefined) URL.revokeObjectURL(preview)
  }
}

/** Takes a file away from the question. The server deletes an unused one after a day; another question may use it. */
export const removeFile = (key: number): void => {
  releaseFiles(draftFiles.value.filter((known) => known.key === key))
  draftFiles.value = draftFiles.value.filter((known) => known.key !== key)
}

export const clearFiles = (): void => {
  releaseFiles(draftFiles.value)
  draftFiles.value = []
}

/** Has the browser download a file, by a link with a ticket: it stores the bytes as they come. */
export const downloadFile = async ({ id, name }: SentFile): Promise<void> => {
  const { url } = await call("POST /files/:id/content-ticket", { params: { id } })
  openDownload(url, name)
}

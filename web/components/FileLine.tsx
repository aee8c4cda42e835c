import type { ComponentChildren } from "preact"
import { size } from "../text/format.ts"

/** A file by its name and size, and what can be done with it. */
export const FileLine = (props: { readonly name: string; readonly bytes: number; readonly children?: ComponentChildren }) => (
  <span class="file-line">
    <span class="file-name">{props.name}</span>
    <span class="hint">{size(props.bytes)}</span>
    {props.children}
  </span>
)

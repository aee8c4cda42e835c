/** Paths of 24 by 24 units, drawn with the colour of the text. */
const paths = {
  archive: "M3 4h18v4H3zM5 8v12h14V8M10 12h4",
  attach: "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.5 3.5 0 0 1 5 5l-8.5 8.5a2 2 0 0 1-3-3L14 7",
  brain:
    "M12 5a3 3 0 0 0-6 0 3 3 0 0 0-2 5 3 3 0 0 0 1 5 3 3 0 0 0 4 4 3 3 0 0 0 3-2zm0 0a3 3 0 0 1 6 0 3 3 0 0 1 2 5 3 3 0 0 1-1 5 3 3 0 0 1-4 4 3 3 0 0 1-3-2z",
  check: "M4 12l5 5L20 6",
  chevron: "M9 6l6 6-6 6",
  close: "M6 6l12 12M18 6L6 18",
  code: "M8 6l-6 6 6 6M16 6l6 6-6 6",
  copy: "M9 9h12v12H9zM5 15H3V3h12v2",
  down: "M17 14V3M7 3h10v11l-4 7a2 2 0 0 1-3-2l1-5H4a2 2 0 0 1-2-2l2-7a2 2 0 0 1 3-2z",
  download: "M12 3v12M7 10l5 5 5-5M4 21h16",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  globe: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zM2 12h20M12 2c3 3 4 6 4 10s-1 7-4 10c-3-3-4-6-4-10s1-7 4-10z",
  menu: "M3 6h18M3 12h18M3 18h18",
  moon: "M20 14A8 8 0 1 1 10 4a7 7 0 0 0 10 10z",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  pin: "M9 3h6l-1 7 4 4H6l4-4zM12 14v7",
  plus: "M12 5v14M5 12h14",
  receipt: "M5 3h14v18l-3-2-2 2-2-2-2 2-2-2-3 2zM9 8h6M9 12h6",
  refresh: "M20 11a8 8 0 0 0-14-4L3 10M3 4v6h6M4 13a8 8 0 0 0 14 4l3-3M21 20v-6h-6",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
  send: "M12 20V4M5 11l7-7 7 7",
  settings: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
  share: "M12 15V3M7 8l5-5 5 5M5 13v8h14v-8",
  stop: "M6 6h12v12H6zM8 8h8v8H8zM10 10h4v4h-4z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1 1M18 18l1 1M5 19l1-1M18 6l1-1",
  system: "M3 4h18v12H3zM8 20h8M12 16v4",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v6M14 11v6",
  up: "M7 10v11M17 21H7V10l4-7a2 2 0 0 1 3 2l-1 5h7a2 2 0 0 1 2 2l-2 7a2 2 0 0 1-3 2z",
  user: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 21c0-4 4-6 8-6s8 2 8 6"
} as const

export type IconName = keyof typeof paths

export const Icon = ({ name }: { readonly name: IconName }) => (
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d={paths[name]} />
  </svg>
)

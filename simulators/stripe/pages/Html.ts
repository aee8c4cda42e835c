/** The answer of a page: HTML, a redirect, or a PDF. */
export type PageAnswer =
  | { readonly status: number; readonly html: string }
  | { readonly redirect: string }
  | { readonly pdf: string }

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" }

export const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (character) => entities[character] ?? character)

const style = `
body { font: 17px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem; color: #1a1f36 }
small { color: #697386 } form { margin: .5rem 0 } input { font: inherit; padding: .4rem; width: 100%; box-sizing: border-box }
button { font: inherit; padding: .5rem 1rem; width: 100%; border: 1px solid #c1c9d2; border-radius: 6px; background: #fff; cursor: pointer }
button.main { background: #0048e5; border-color: #0048e5; color: #fff } .error { color: #b3093c }
table { border-collapse: collapse; width: 100% } td { padding: .3rem 0; border-top: 1px solid #e3e8ee } td + td { text-align: right }`

/** A page; `body` is escaped HTML. */
export const htmlPage = (title: string, body: string, status = 200): PageAnswer => ({
  status,
  html:
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,"><meta name="viewport" content="width=device-width">` +
    `<title>${escapeHtml(title)}</title><style>${style}</style></head><body><small>Stripe simulator: no real money moves here</small>` +
    `<h1>${escapeHtml(title)}</h1>${body}</body></html>`
})

export const notFoundPage = () =>
  htmlPage("Something went wrong", "<p>The page you were looking for could not be found.</p>", 404)

const button = (action: string, label: string, main = false) =>
  `<button${main ? ' class="main"' : ""} name="action" value="${action}">${escapeHtml(label)}</button>`

/** A button that posts `action` back to this page. */
export const actionForm = (action: string, label: string, { fields = "", main = false } = {}) =>
  `<form method="post">${fields}${button(action, label, main)}</form>`

/** Several buttons that post the same fields. The first one is the main one. */
export const actionsForm = (fields: string, actions: ReadonlyArray<readonly [action: string, label: string]>) =>
  `<form method="post">${fields}${actions.map(([action, label], index) => `<p>${button(action, label, index === 0)}</p>`).join("")}</form>`

export const facts = (rows: ReadonlyArray<readonly [string, string]>) =>
  `<table>${rows.map(([name, value]) => `<tr><td>${escapeHtml(name)}</td><td>${escapeHtml(value)}</td></tr>`).join("")}</table>`

export const money = (minorUnits: number, currency: string) =>
  new Intl.NumberFormat("en-US", { style: "currency", currency }).format(minorUnits / 100)

export const day = (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 10)

export const errorNote = (message: string | null | undefined) => (message ? `<p class="error">${escapeHtml(message)}</p>` : "")

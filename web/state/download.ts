import { baseUrl } from "../api/transport.ts"

/** Opens the address of a ticket as a download, which leaves the page as it is. */
export const openDownload = (url: string, name: string): void => {
  const link = document.createElement("a")
  link.href = new URL(url, baseUrl).href
  link.download = name
  link.click()
}

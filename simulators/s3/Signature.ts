import { createHash, createHmac } from "node:crypto"
import type { IncomingHttpHeaders } from "node:http"

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly region: string
}

/** A request, as its signature covers it. */
export interface SignedRequest {
  readonly method: string
  /** With its query, as it was sent. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

/** Seconds that a clock may differ. */
const SKEW = 900

const hash = (text: string) => createHash("sha256").update(text).digest("hex")
const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest()

const encode = (text: string) =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

const millisOf = (date: string): number => {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? []
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}

/** What a request says of its signature: in its `Authorization`, or in its query. */
const claimOf = ({ headers, url }: SignedRequest) => {
  const query = new URL(url, "http://s3").searchParams
  if (query.has("X-Amz-Signature")) {
    return {
      credential: query.get("X-Amz-Credential") ?? "",
      date: query.get("X-Amz-Date") ?? "",
      names: (query.get("X-Amz-SignedHeaders") ?? "").split(";"),
      signature: query.get("X-Amz-Signature") ?? "",
      payload: "UNSIGNED-PAYLOAD",
      expires: Number(query.get("X-Amz-Expires"))
    }
  }
  const [, credential = "", names = "", signature = ""] =
    /^AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? ""
    ) ?? []
  return {
    credential,
    date: String(headers["x-amz-date"] ?? ""),
    names: names.split(";"),
    signature,
    payload: String(headers["x-amz-content-sha256"] ?? ""),
    expires: SKEW
  }
}

/**
 * Why a request is refused, by S3's names of errors; undefined when its signature is right:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export const signatureFault = (request: SignedRequest, credentials: Credentials, now: number): string | undefined => {
  const { credential, date, expires, names, payload, signature } = claimOf(request)
  if (signature === "") return "AccessDenied"
  const scope = `${date.slice(0, 8)}/${credentials.region}/s3/aws4_request`
  if (credential !== `${credentials.accessKeyId}/${scope}`) return "InvalidAccessKeyId"
  const at = millisOf(date)
  if (Number.isNaN(at) || at - now > SKEW * 1_000) return "RequestTimeTooSkewed"
  if (now - at > expires * 1_000) return "AccessDenied"
  if (!names.includes("host")) return "SignatureDoesNotMatch"
  const { pathname, searchParams } = new URL(request.url, "http://s3")
  const path = pathname
    .split("/")
    .map((segment) => encode(decodeURIComponent(segment)))
    .join("/")
  const query = [...searchParams]
    .filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .toSorted()
    .join("&")
  const headers = names
    .map(
      (name) =>
        `${name}:${String(request.headers[name] ?? "")
          .trim()
          .replaceAll(/ +/g, " ")}\n`
    )
    .join("")
  const canonical = [request.method, path, query, headers, names.join(";"), payload].join("\n")
  const text = ["AWS4-HMAC-SHA256", date, scope, hash(canonical)].join("\n")
  const key = [date.slice(0, 8), credentials.region, "s3", "aws4_request"].reduce<string | Buffer>(
    (secret, part) => hmac(secret, part),
    `AWS4${credentials.secretAccessKey}`
  )
  return hmac(key, text).toString("hex") === signature ? undefined : "SignatureDoesNotMatch"
}

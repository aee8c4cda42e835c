/**
 * A simulator of an S3-compatible service with one bucket: PUT, GET (with a range) and DELETE of objects by path-style
 * addresses. It verifies every signature, in headers and in addresses, and the hash of every body, with code of its own.
 */
import { createHash } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { buffer } from "node:stream/consumers"
import { type Credentials, signatureFault } from "./Signature.ts"

interface StoredObject {
  readonly bytes: Buffer
  readonly type: string
}

/** What happens to requests instead of an answer. */
export interface S3Fault {
  /** An HTTP status, or a connection that is closed: before the answer, or in the middle of its body. */
  readonly kind: number | "drop" | "cut"
  /** Requests that it hits. */
  readonly times: number
  readonly method?: string
}

export interface S3Simulator {
  readonly url: string
  readonly credentials: Credentials
  readonly bucket: string
  readonly objects: ReadonlyMap<string, StoredObject>
  /** Method, path and status of every request, oldest first. */
  readonly log: ReadonlyArray<string>
  addFault(fault: S3Fault): void
  stop(): Promise<void>
}

interface Simulation {
  readonly bucket: string
  readonly credentials: Credentials
  readonly objects: Map<string, StoredObject>
  readonly log: Array<string>
  faults: Array<{ -readonly [Key in keyof S3Fault]: S3Fault[Key] }>
}

const answer = (response: ServerResponse, status: number, headers: Record<string, string>, body: Uint8Array | string = "") =>
  response.writeHead(status, { "content-length": String(Buffer.byteLength(body)), ...headers }).end(body)

const refuse = (response: ServerResponse, status: number, code: string) =>
  answer(response, status, { "content-type": "application/xml" }, `<Error><Code>${code}</Code></Error>`)

const takeFault = (simulation: Simulation, method: string) => {
  const fault = simulation.faults.find((each) => each.method === undefined || each.method === method)
  if (fault !== undefined && --fault.times === 0) simulation.faults = simulation.faults.filter((each) => each !== fault)
  return fault
}

const get = (url: URL, request: IncomingMessage, response: ServerResponse, { bytes, type }: StoredObject, isCut: boolean) => {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? []
  const part = from === undefined ? bytes : bytes.subarray(Number(from), Number(to) + 1)
  const disposition = url.searchParams.get("response-content-disposition")
  const headers = {
    "content-type": url.searchParams.get("response-content-type") ?? type,
    ...(disposition === null ? {} : { "content-disposition": disposition }),
    ...(from === undefined ? {} : { "content-range": `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}` })
  }
  if (!isCut) {
    answer(response, from === undefined ? 200 : 206, headers, part)
    return
  }
  response.writeHead(206, { ...headers, "content-length": String(part.length) })
  response.write(part.subarray(0, part.length >> 1), () => response.destroy())
}

const handle = async (simulation: Simulation, request: IncomingMessage, response: ServerResponse) => {
  const { method = "", url = "" } = request
  const address = new URL(url, "http://s3")
  response.once("finish", () => simulation.log.push(`${method} ${address.pathname} ${response.statusCode}`))
  const fault = takeFault(simulation, method)
  if (fault?.kind === "drop") return request.socket.destroy()
  const body = await buffer(request)
  if (typeof fault?.kind === "number") return refuse(response, fault.kind, "InternalError")
  const problem = signatureFault({ method, url, headers: request.headers }, simulation.credentials, Date.now())
  if (problem !== undefined) return refuse(response, 403, problem)
  const [, bucket, ...rest] = decodeURIComponent(address.pathname).split("/")
  if (bucket !== simulation.bucket) return refuse(response, 404, "NoSuchBucket")
  const key = rest.join("/")
  switch (method) {
    case "PUT": {
      if (request.headers["content-length"] === undefined) return refuse(response, 411, "MissingContentLength")
      const hash = createHash("sha256").update(body).digest("hex")
      if (request.headers["x-amz-content-sha256"] !== hash) return refuse(response, 400, "XAmzContentSHA256Mismatch")
      simulation.objects.set(key, { bytes: body, type: request.headers["content-type"] ?? "binary/octet-stream" })
      return answer(response, 200, {})
    }
    case "GET": {
      const object = simulation.objects.get(key)
      return object === undefined
        ? refuse(response, 404, "NoSuchKey")
        : get(address, request, response, object, fault?.kind === "cut")
    }
    case "DELETE":
      simulation.objects.delete(key)
      return response.writeHead(204).end()
    default:
      return refuse(response, 405, "MethodNotAllowed")
  }
}

export const startS3Simulator = async (): Promise<S3Simulator> => {
  const simulation: Simulation = {
    bucket: "files-of-tests",
    credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", region: "eu-test-1" },
    objects: new Map(),
    log: [],
    faults: []
  }
  const server = createServer((request, response) => {
    void handle(simulation, request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the server listens on no port")
  const { bucket, credentials, log, objects } = simulation
  return {
    url: `http://127.0.0.1:${address.port}`,
    bucket,
    credentials,
    objects,
    log,
    addFault: (fault) => void simulation.faults.push({ ...fault }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

import type { Duplex } from "node:stream"

/**
 * Has a stream send what is written in one turn of the event loop at once. The statements of many requests are then one
 * packet, and one system call here and in Postgres.
 */
export const sendTogether = <S extends Duplex>(stream: S): S => {
  const write = stream.write.bind(stream)
  let isCorked = false
  const uncork = () => {
    isCorked = false
    stream.uncork()
  }
  stream.write = (...args: [unknown, ...ReadonlyArray<unknown>]) => {
    if (!isCorked) {
      isCorked = true
      stream.cork()
      setImmediate(uncork)
    }
    return Reflect.apply(write, stream, args)
  }
  return stream
}

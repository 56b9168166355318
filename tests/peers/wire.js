// A TCP proxy in front of a server. It passes bytes on untouched and counts
// them; what they meant (requests, messages) is worked out afterwards, so that
// nobody waits for the counting.

import net from "node:net"
import { HTTPParser } from "http-parser-js"
import { Receiver } from "ws"

// It takes all that is fed to it at once for one head.
HTTPParser.maxHeaderSize = Infinity

export class Wire {
  #connections = []
  #server

  // Listens on a free port in front of `host:port`.
  static async before(target) {
    const [host, port] = target.split(":")
    const wire = new Wire()
    wire.#server = net.createServer((phone) => wire.#connect(phone, host, Number(port)))
    await new Promise((resolve) => wire.#server.listen(0, "127.0.0.1", resolve))
    wire.address = `http://127.0.0.1:${wire.#server.address().port}`
    return wire
  }

  #connect(phone, host, port) {
    const server = net.connect(port, host)
    const connection = { up: [], bytesUp: 0, bytesDown: 0, asked: new Asked() }
    this.#connections.push(connection)
    const over = () => {
      phone.destroy()
      server.destroy()
    }
    for (const side of [phone, server]) {
      side.setNoDelay(true)
      side.on("error", over).on("close", over)
    }
    phone.on("data", (bytes) => {
      connection.up.push(bytes)
      connection.bytesUp += bytes.length
    })
    server.on("data", (bytes) => (connection.bytesDown += bytes.length))
    phone.pipe(server)
    server.pipe(phone)
  }

  // What has gone over the wire so far: bytes both ways, and what was asked:
  // HTTP requests, or for a websocket its messages upwards.
  async count() {
    const sum = { bytes: 0, requests: 0 }
    for (const connection of this.#connections) {
      await connection.asked.read(Buffer.concat(connection.up.splice(0)))
      sum.bytes += connection.bytesUp + connection.bytesDown
      sum.requests += connection.asked.count
    }
    return sum
  }

  close() {
    this.#server.close()
  }
}

// Counts what a phone asks over one connection.
class Asked {
  count = 0
  #parser = new HTTPParser(HTTPParser.REQUEST)
  #receiver

  constructor() {
    this.#parser[HTTPParser.kOnHeadersComplete] = ({ upgrade }) => {
      this.count += 1
      if (upgrade) this.#upgrade()
      return upgrade ? 2 : 0
    }
  }

  #upgrade() {
    this.#receiver = new Receiver({ isServer: true, allowSynchronousEvents: true })
    this.#receiver.on("message", () => (this.count += 1))
    this.#receiver.on("error", () => {})
  }

  async read(bytes) {
    if (bytes.length === 0) return
    if (this.#receiver) return this.#messages(bytes)
    const eaten = this.#parser.execute(bytes)
    if (eaten instanceof Error) throw eaten
    if (this.#receiver) await this.#messages(bytes.subarray(eaten))
  }

  #messages(bytes) {
    return new Promise((resolve) => this.#receiver.write(bytes, resolve))
  }
}

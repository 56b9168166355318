// Servers and phones as processes of their own.

import fs from "node:fs"
import { spawn, execFile } from "node:child_process"
import readline from "node:readline"
import { promisify } from "node:util"

const run = promisify(execFile)
const running = new Set()

// How long a step may take; whoever takes longer is not waited for.
let patience_s = 300

export function waitAtMost(seconds) {
  patience_s = seconds
}

// Nothing outlives the driver, however it ends.
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")))
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1))

function start(command, args, options) {
  const child = spawn(command, args, options)
  running.add(child)
  const ended = new Promise((resolve, reject) => {
    child.on("error", reject)
    child.on("exit", (code) => {
      running.delete(child)
      resolve(code)
    })
  })
  return { child, ended }
}

// A program that says where it listens. Killed with `stop`.
export async function server(command, args, environment = {}) {
  const { child, ended } = start(command, args, {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "inherit"],
  })
  const lines = readline.createInterface({ input: child.stdout })
  const address = await Promise.race([
    new Promise((resolve) => lines.once("line", (line) => resolve(line.replace("listening on ", "")))),
    ended.then((code) => {
      throw new Error(`${command} ended with ${code}`)
    }),
  ])
  return {
    address,
    // Memory that it holds now, bytes; null where the system does not say.
    memory() {
      try {
        const status = fs.readFileSync(`/proc/${child.pid}/status`, "utf8")
        return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) * 1024
      } catch {
        return null
      }
    },
    async stop() {
      child.kill("SIGKILL")
      await ended
    },
  }
}

// A process with phones in it, which does what it is told, one step at a time.
export function phones(command, args, strace) {
  const all = strace ? ["-f", "-c", "-o", strace, "-e", "trace=fsync,fdatasync,sync_file_range,msync", command, ...args] : args
  const { child, ended } = start(strace ? "strace" : command, all, { stdio: ["pipe", "pipe", "inherit"] })
  const waiting = []
  readline.createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.resolve(JSON.parse(line)))
  ended.then((code) => {
    for (const { reject } of waiting) reject(new Error(`its process ended with ${code}`))
  })
  return {
    async do(what, more = {}) {
      const said = new Promise((resolve, reject) => waiting.push({ resolve, reject }))
      child.stdin.write(JSON.stringify({ do: what, phone: 0, ...more }) + "\n")
      const late = setTimeout(() => {
        waiting.shift()?.reject(new Error(`${what} took more than ${patience_s} s`))
      }, patience_s * 1000)
      const answer = await said.finally(() => clearTimeout(late))
      if (answer.error) throw new Error(`${what}: ${answer.error}`)
      return answer
    },
    async stop() {
      child.stdin.end()
      await ended
    },
    kill() {
      child.kill("SIGKILL")
    },
  }
}

// What a program prints.
export async function output(command, args) {
  const { stdout } = await run(command, args, { maxBuffer: 1 << 26 })
  return stdout
}

// What is measured. Every step checks that it did what it says: a phone that
// has not got everything has measured nothing.

import fs from "node:fs"
import path from "node:path"
import { Wire } from "./wire.js"
import { member, REPORTER, SECRETARY, SUPERVISORS } from "./contenders.js"

const MEMBERS_GRIDS = 4
const NEWEST = 50
const CHANGED = 10
const COLD_OPENS = 3

// A street with nobody in it: a server behind a counting wire.
class Street {
  static async open(contender, folder) {
    fs.mkdirSync(folder, { recursive: true })
    const street = new Street()
    street.contender = contender
    street.processes = []
    street.folder = folder
    street.server = await contender.server(folder)
    street.wire = await Wire.before(street.server.address)
    street.shared = { data: street.server.data, secret: null }
    return street
  }

  // A phone process with one phone, enrolled.
  async phone(name, person, strace) {
    const process = this.contender.phones(strace)
    this.processes.push(process)
    const folder = path.join(this.folder, name)
    await process.do("open", { folder })
    await this.contender.join(process, 0, this.wire.address, this.shared, person)
    return Object.assign(process, { folder })
  }

  // A step with what it cost: milliseconds, bytes, requests.
  async cost(process, what, more = {}) {
    const before = await this.wire.count()
    const { ms } = await process.do(what, { server: this.wire.address, ...more })
    const after = await this.wire.count()
    return { ms, bytes: after.bytes - before.bytes, requests: after.requests - before.requests }
  }

  sync(process) {
    return this.cost(process, "sync")
  }

  // Whatever still runs.
  async close() {
    for (const process of this.processes) process.kill()
    await this.server.stop()
    this.wire.close()
  }
}

function must(is, wanted, what) {
  if (is !== wanted) throw new Error(`${what}: ${is}, wanted ${wanted}`)
}

const holds = async (phone, count) => must((await phone.do("count")).count, count, "findings on the phone")

// Capture, first push, first pull, and what two people do to one finding.
export async function fresh(contender, folder, count) {
  const street = await Street.open(contender, folder)
  const reporter = await street.phone("reporter", REPORTER)
  const { each_ms } = await reporter.do("capture", { from: 0, count })
  const push = await street.sync(reporter)
  const secretary = await street.phone("secretary", SECRETARY)
  const pull = await street.sync(secretary)
  await holds(secretary, count)
  const disagreement = await disagree(street, reporter, secretary)
  await reporter.stop()
  await secretary.stop()
  await street.close()
  return { capture: { ms: median(each_ms) }, push, pull, disagreement }
}

// Both offline: one field of the first finding twice, two fields of the second.
async function disagree(street, reporter, secretary) {
  await reporter.do("edit", { nth: 0, field: "description", value: "甲的说法" })
  await secretary.do("edit", { nth: 0, field: "description", value: "乙的说法" })
  await reporter.do("edit", { nth: 1, field: "description", value: "甲的说法" })
  await secretary.do("edit", { nth: 1, field: "position", value: "25.04123,102.70123,5.0,gps" })
  for (const phone of [reporter, secretary, reporter]) await street.sync(phone)
  const seen = async (nth, field) => {
    const [one, other] = [
      await reporter.do("show", { nth, field }),
      await secretary.do("show", { nth, field }),
    ]
    must(one.value, other.value, "the two phones show the same")
    return one
  }
  const same = await seen(0, "description")
  const [description, position] = [await seen(1, "description"), await seen(1, "position")]
  const [first, second] = ["甲的说法", "25.04123,102.70123,5.0,gps"]
  const count = (...is) => is.filter(Boolean).length
  return {
    same: {
      shown: count(["甲的说法", "乙的说法"].includes(same.value)),
      kept: count(same.kept.includes("甲的说法"), same.kept.includes("乙的说法")),
      told: same.told,
    },
    different: {
      shown: count(description.value === first, position.value === second),
      kept: count(description.kept.includes(first), position.kept.includes(second)),
      told: description.told,
    },
  }
}

// Everybody at the station at once.
export async function crowd(contender, folder, phones, each) {
  const street = await Street.open(contender, folder)
  const process = contender.phones()
  for (let phone = 0; phone < phones; phone++) {
    const person = member(phone)
    await process.do("open", { phone, folder: path.join(folder, `phone-${phone}`) })
    await contender.join(process, phone, street.wire.address, street.shared, person)
    const grid = `5301020${person.slice(1, 6)}00${(Math.floor(phone / 10) % MEMBERS_GRIDS) + 1}`
    await process.do("capture", { phone, from: phone * each, count: each, grid })
  }
  const push = await street.cost(process, "push-all")
  const memory = street.server.memory()
  await process.stop()
  const supervisor = await street.phone("supervisor", SUPERVISORS[0])
  await street.sync(supervisor)
  await holds(supervisor, phones * each)
  await supervisor.stop()
  await street.close()
  return { crowd: { ...push, memory } }
}

// A street that has been at work for a while; stays open for all rounds.
export async function settled(contender, folder, count) {
  const street = await Street.open(contender, folder)
  try {
    street.reporter = await street.phone("reporter", REPORTER)
    await street.reporter.do("capture", { from: 0, count })
    await street.sync(street.reporter)
  } catch (error) {
    await street.close()
    throw error
  }
  return street
}

// A new phone there: first pull, nothing changed, ten changed, cold open.
export async function newcomer(street, round, count) {
  const phone = await street.phone(`newcomer-${round}`, SUPERVISORS[round % SUPERVISORS.length])
  const pullAll = await street.sync(phone)
  await holds(phone, count)
  const unchanged = await street.sync(phone)
  const value = `第${round}轮更正`
  for (let nth = 0; nth < CHANGED; nth++) await street.reporter.do("edit", { nth, field: "description", value })
  await street.sync(street.reporter)
  const catchUp = await street.sync(phone)
  for (let nth = 0; nth < CHANGED; nth++) {
    must((await phone.do("show", { nth, field: "description" })).value, value, "a correction arrived")
  }
  await phone.do("close")
  await phone.stop()
  const cold = []
  for (let nth = 0; nth < COLD_OPENS; nth++) {
    const again = street.contender.phones()
    const opened = await again.do("open", { folder: phone.folder })
    const { ms, titles } = await again.do("newest", { limit: NEWEST })
    must(titles.length, Math.min(NEWEST, count), "findings in the list")
    cold.push(opened.ms + ms)
    await again.stop()
  }
  const phoneFolders = [phone.folder, `${phone.folder}.unbacked`].filter((folder) => fs.existsSync(folder))
  const disk = { phone: phoneFolders.reduce((sum, folder) => sum + blocks(folder), 0), server: blocks(street.server.data) }
  return { pullAll, unchanged, catchUp, cold: { ms: median(cold) }, disk }
}

// How often a capture has the disk flushed, counted by the system; null where
// that cannot be watched.
export async function flushes(contender, folder) {
  const counts = []
  for (const count of [20, 120]) {
    const street = await Street.open(contender, path.join(folder, String(count)))
    const report = path.join(folder, `${count}.strace`)
    try {
      const phone = await street.phone("reporter", REPORTER, report)
      await phone.do("capture", { from: 0, count })
      await phone.stop()
      const lines = fs.readFileSync(report, "utf8").split("\n")
      const calls = lines.map((line) => line.trim().split(/\s+/)).filter((words) => /sync/.test(words.at(-1)))
      counts.push(calls.reduce((sum, words) => sum + Number(words[3]), 0))
    } finally {
      await street.close()
    }
  }
  return (counts[1] - counts[0]) / 100
}

// A capture by a phone that was made to flush every write.
export async function flushedCapture(contender, folder, count) {
  const street = await Street.open({ ...contender, phones: contender.flushed }, folder)
  const phone = await street.phone("reporter", REPORTER)
  const { each_ms } = await phone.do("capture", { from: 0, count })
  await phone.stop()
  await street.close()
  return { ms: median(each_ms) }
}

// Blocks on the disk, bytes.
function blocks(at) {
  const stat = fs.lstatSync(at)
  const inside = stat.isDirectory() ? fs.readdirSync(at).map((name) => blocks(path.join(at, name))) : []
  return inside.reduce((sum, bytes) => sum + bytes, stat.blocks * 512)
}

export function median(values) {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)]
}

// `make bench-peers`: the same work by Shaodao and by what people use instead,
// in one run on one machine. See docs/peers.md, which this writes.

import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { contenders } from "./contenders.js"
import { waitAtMost } from "./processes.js"
import { markdown, summary, terminal } from "./report.js"
import * as work from "./workloads.js"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..")

const { values: args } = parseArgs({
  options: {
    // Of every number of findings and phones.
    scale: { type: "string", default: "1" },
    rounds: { type: "string", default: "3" },
    // Rounds of what takes long: 10,000 findings.
    "long-rounds": { type: "string", default: "3" },
    seed: { type: "string", default: "1" },
    // Seconds that a step may take.
    patience: { type: "string", default: "300" },
    only: { type: "string" },
    binaries: { type: "string", default: path.join(root, "target/release") },
    data: { type: "string", default: path.join(root, "target/peers-data") },
    json: { type: "string", default: path.join(root, "target/peers.json") },
    // Written at full size only, unless it is named.
    markdown: { type: "string" },
  },
})
const scale = Number(args.scale)
const scaled = (count) => Math.max(1, Math.round(count * scale))
const size = {
  few: scaled(1_000),
  many: Math.max(20, scaled(10_000)),
  phones: Math.min(50, scaled(50)),
  each: 20,
  rounds: Number(args.rounds),
  longRounds: Number(args["long-rounds"]),
}

fs.rmSync(args.data, { recursive: true, force: true })
fs.mkdirSync(args.data, { recursive: true })
const findings = path.join(args.data, "findings.json")
const made = spawnSync(path.join(args.binaries, "peer_run"), ["findings", String(size.many), findings], { stdio: "inherit" })
if (made.status !== 0) throw new Error("peer_run is not built: make bench-peers")

waitAtMost(Number(args.patience))
const all = contenders(args.binaries, findings)
const keys = args.only ? args.only.split(",") : Object.keys(all)
const samples = Object.fromEntries(keys.map((key) => [key, []]))
const notes = Object.fromEntries(keys.map((key) => [key, {}]))
const shuffled = shuffler(Number(args.seed))
const folder = (...parts) => path.join(args.data, parts.join("-"))
const began = performance.now()

const strace = spawnSync("strace", ["-V"]).status === 0
for (const key of keys) {
  tell(key, "flushes")
  notes[key].flushes = strace ? await work.flushes(all[key], folder(key, "flushes")) : null
}
const streets = {}
for (const key of keys) {
  tell(key, `a street with ${size.many} findings`)
  try {
    streets[key] = await work.settled(all[key], folder(key, "settled"), size.many)
  } catch (error) {
    // That somebody does not manage it is an answer too.
    notes[key].gaveUp = `${size.many.toLocaleString("en")} findings: ${error.message}`
    console.error(`        ${all[key].name}: ${notes[key].gaveUp}`)
  }
}
for (let round = 0; round < Math.max(size.rounds, size.longRounds); round++) {
  for (const key of shuffled(round < size.rounds ? keys : [])) {
    tell(key, `round ${round + 1}: capture, push, pull of ${size.few}`)
    const { disagreement, ...cost } = await work.fresh(all[key], folder(key, "fresh", round), size.few)
    take(key, cost)
    agree(key, disagreement)
    if (all[key].flushed) {
      take(key, { flushedCapture: await work.flushedCapture(all[key], folder(key, "flushed", round), scaled(200)) })
    }
  }
  for (const key of shuffled(round < size.rounds ? keys : [])) {
    tell(key, `round ${round + 1}: ${size.phones} phones at once`)
    take(key, await work.crowd(all[key], folder(key, "crowd", round), size.phones, size.each))
  }
  for (const key of shuffled(round < size.longRounds ? Object.keys(streets) : [])) {
    tell(key, `round ${round + 1}: a newcomer among ${size.many}`)
    take(key, await work.newcomer(streets[key], round, size.many))
  }
}
for (const street of Object.values(streets)) {
  await street.reporter.stop()
  await street.close()
}
fs.rmSync(args.data, { recursive: true, force: true })

const result = {
  machine: machine(),
  size,
  seed: Number(args.seed),
  patience: Number(args.patience),
  seconds: Math.round((performance.now() - began) / 1000),
  versions: versions(),
  contenders: summary(keys, all, samples, notes),
  samples,
}
console.log(terminal(result))
fs.writeFileSync(args.json, JSON.stringify(result, null, 1))
const page = args.markdown ?? (scale === 1 && !args.only ? path.join(root, "docs/peers.md") : null)
if (page) {
  fs.mkdirSync(path.dirname(page), { recursive: true })
  fs.writeFileSync(page, markdown(result))
  console.log(`written: ${path.relative(root, page)}`)
}

function tell(key, what) {
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  console.error(`${seconds.padStart(4)} s  ${all[key].name}: ${what}`)
}

function take(key, cost) {
  samples[key].push(cost)
}

// What becomes of a disagreement is not a matter of chance.
function agree(key, disagreement) {
  const said = JSON.stringify(disagreement)
  if ((notes[key].said ??= said) !== said) throw new Error(`${key}: ${said}, before ${notes[key].said}`)
  notes[key].disagreement = disagreement
}

// Orders that follow from the seed (mulberry32 and Fisher-Yates).
function shuffler(seed) {
  const random = () => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return (list) => {
    const order = [...list]
    for (let last = order.length - 1; last > 0; last--) {
      const other = Math.floor(random() * (last + 1))
      ;[order[last], order[other]] = [order[other], order[last]]
    }
    return order
  }
}

function machine() {
  const [cpu] = os.cpus()
  const disk = spawnSync("df", ["--output=fstype", args.data.replace(/[^/]+$/, "")], { encoding: "utf8" })
  return {
    processor: `${os.cpus().length} × ${cpu.model.trim()}`,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    system: `${os.type()} ${os.release()}, ${disk.stdout?.split("\n")[1] ?? "unknown file system"}`,
    node: process.version,
  }
}

function versions() {
  const of = (name) => {
    const file = path.join(root, "tests/peers/node_modules", name, "package.json")
    return JSON.parse(fs.readFileSync(file)).version
  }
  const names = ["pouchdb", "express-pouchdb", "leveldown", "@automerge/automerge-repo", "@automerge/automerge"]
  return Object.fromEntries(names.map((name) => [name, of(name)]))
}

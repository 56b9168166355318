// What came of it: medians and ratios, for the terminal and for docs/peers.md.

import { median } from "./workloads.js"

// Rows of the table: where a figure is in the samples, and its unit.
const ROWS = [
  ["capture, one at a time", "capture", "ms", "ms"],
  ["first push of {few}", "push", "ms", "ms"],
  ["first push, on the wire", "push", "bytes", "B"],
  ["first push, requests", "push", "requests", ""],
  ["first pull of {few}", "pull", "ms", "ms"],
  ["first pull of {few}, on the wire", "pull", "bytes", "B"],
  ["first pull of {few}, requests", "pull", "requests", ""],
  ["first pull of {many}", "pullAll", "ms", "ms"],
  ["first pull of {many}, on the wire", "pullAll", "bytes", "B"],
  ["first pull of {many}, requests", "pullAll", "requests", ""],
  ["nothing changed in {many}", "unchanged", "ms", "ms"],
  ["nothing changed, on the wire", "unchanged", "bytes", "B"],
  ["nothing changed, requests", "unchanged", "requests", ""],
  ["10 changed of {many}", "catchUp", "ms", "ms"],
  ["10 changed, on the wire", "catchUp", "bytes", "B"],
  ["10 changed, requests", "catchUp", "requests", ""],
  ["{phones} phones push {each} each at once", "crowd", "ms", "ms"],
  ["the same, on the wire", "crowd", "bytes", "B"],
  ["the same, server memory after it", "crowd", "memory", "B"],
  ["cold open of {many}, newest 50", "cold", "ms", "ms"],
  ["disk of a phone, {many}", "disk", "phone", "B"],
  ["disk of the server, {many}", "disk", "server", "B"],
]

export function summary(keys, all, samples, notes) {
  return Object.fromEntries(
    keys.map((key) => {
      const figures = {}
      for (const [, part, figure] of ROWS) {
        const values = samples[key].map((sample) => sample[part]?.[figure]).filter((value) => value != null)
        ;(figures[part] ??= {})[figure] = values.length > 0 ? median(values) : null
      }
      const flushed = samples[key].map((sample) => sample.flushedCapture?.ms).filter((value) => value != null)
      const { flushes, disagreement, gaveUp } = notes[key]
      const flushedCaptureMs = flushed.length > 0 ? median(flushed) : null
      return [key, { name: all[key].name, figures, flushes, flushedCaptureMs, disagreement, gaveUp }]
    }),
  )
}

// Names, values and ratios to the first contender.
function table({ size, contenders }) {
  const parts = Object.values(contenders)
  const head = ["", ...parts.map(({ name }) => name)]
  const rows = ROWS.map(([what, part, figure, unit]) => {
    const name = what.replace(/\{(\w+)\}/g, (_, key) => size[key].toLocaleString("en"))
    const [ours] = parts.map(({ figures }) => figures[part][figure])
    const cells = parts.map(({ figures }, nth) => {
      const value = figures[part][figure]
      if (value === null) return "–"
      const ratio = nth === 0 || !ours ? "" : ` (${short(value / ours)} ×)`
      return human(value, unit) + ratio
    })
    return [name, ...cells]
  })
  return [head, ...rows]
}

function short(value) {
  if (value >= 100) return value.toFixed(0)
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

function human(value, unit) {
  if (unit === "B") {
    if (value >= 1 << 20) return `${short(value / (1 << 20))} MiB`
    return value >= 10_000 ? `${short(value / 1024)} KiB` : `${value} B`
  }
  if (unit === "ms" && value >= 10_000) return `${short(value / 1000)} s`
  return unit === "ms" ? `${short(value)} ms` : value.toLocaleString("en")
}

function flushed({ flushes, flushedCaptureMs }) {
  const counted = flushes === null ? "not counted" : `${short(flushes)} flushes a capture`
  return flushedCaptureMs === null ? counted : `${counted}; made to flush: ${short(flushedCaptureMs)} ms`
}

function outcome({ shown, kept, told }) {
  if (shown === 2) return "both stand"
  if (kept === 2 && told) return "both kept, and the list says that there are two"
  if (kept === 2) return "one shown; the other kept for who asks for conflicts"
  return "one shown, the other is gone"
}

function outcomeOfTwo({ shown, kept }) {
  if (shown === 2) return "both stand"
  if (kept === 2) return "one stands; the other is aside, for who asks for conflicts"
  return "one stands, the other is gone"
}

// The rows that are words.
function words({ contenders }) {
  const parts = Object.values(contenders)
  const gaveUp = parts.some((part) => part.gaveUp) ? [["not managed", ...parts.map((part) => part.gaveUp ?? "")]] : []
  return [
    ...gaveUp,
    ["saved means", ...parts.map(flushed)],
    ["two offline, one field", ...parts.map(({ disagreement }) => outcome(disagreement.same))],
    ["two offline, two fields", ...parts.map(({ disagreement }) => outcomeOfTwo(disagreement.different))],
  ]
}

export function terminal(result) {
  const rows = table(result)
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  const line = (row) => row.map((cell, column) => cell.padEnd(widths[column])).join("  ")
  const said = words(result).map(([what, ...cells]) => {
    const names = Object.values(result.contenders).map(({ name }) => name)
    return [`${what}:`, ...cells.map((cell, nth) => `  ${names[nth]}: ${cell}`)].join("\n")
  })
  return ["", ...rows.map(line), "", ...said, "", `${result.seconds} s in all`].join("\n")
}

export function markdown(result) {
  const { machine, size, versions, seconds, seed, patience } = result
  const row = (cells) => `| ${cells.join(" | ")} |`
  const [head, ...rows] = table(result)
  const lines = [head, head.map(() => "---"), ...rows, ...words(result)].map(row)
  return `# Beside what people use instead

Written by \`make bench-peers\`; the figures of every round are in \`target/peers.json\`.

${lines.join("\n")}

Medians of ${size.rounds} rounds (${size.longRounds} where ${size.many.toLocaleString("en")} findings are pulled), ratios to the first column; below 1 the other one needs less.

## How it was measured

- ${machine.processor}, ${machine.memory}, ${machine.system}, Node.js ${machine.node}; ${seconds} s in all. Everything over loopback without TLS, servers and phones as processes of their own, a virtual or real disk as the machine has it.
- The same findings for all, a document each. In every round the order is drawn (seed ${seed}), so that what else the machine does meets everybody.
- A phone takes the time of its own work. Bytes, both ways with all headers, are counted by a TCP proxy in front of every server; requests are those of HTTP, or for a websocket its opening and the messages upwards. Enrolment, and learning the name of a list, come before.
- Every step checks what came of it: the phone holds all findings, the corrections are there, both phones show the same. A step that takes longer than ${patience} s is not waited for.
- Flushes (\`fsync\`, \`fdatasync\`) are counted by \`strace\` over 100 captures.

## Who takes part

- **Shaodao**: \`Device\` of the core and \`shaodao-server\`. Encrypted database, signed actions, rights, history; a capture is in database and journal, both flushed. A reply means judged and on the disk.
- **SQLite + JSON + zstd**: the least that does the job, in Rust like ours (\`tests/src/bin/peer_run/plain.rs\`): rows with \`synchronous = FULL\`, one endpoint, a cursor. The last one to send wins. No rights, signatures or history: this is what the other columns pay for what they add.
- **PouchDB** ${versions.pouchdb} with **express-pouchdb** ${versions["express-pouchdb"]}, LevelDB (leveldown ${versions.leveldown}) on both sides, as it comes but for batches of 1,000 instead of 100, which suits it better here. Names sort by time, as its guide advises, so the newest are one range read. It asks LevelDB for no flush: after a power failure the last captures may be missing. "Made to flush" has every write ask for it.
- **automerge-repo** ${versions["@automerge/automerge-repo"]} (automerge ${versions["@automerge/automerge"]}) with its websocket adapter and file storage on both sides, the server set up as in \`automerge-repo-sync-server\`. A document a finding, and one that lists them, since a document can only be asked for by name. A capture waits for \`repo.flush()\`, which waits for the file but not for the disk. It is settled when the server has named the heads that the phone has and nobody says anything for a second, which is not counted: of what it believes to be the same it says nothing, so "nothing changed" is the time until the phone's own last message. Whether the server has stored anything it does not say. It has to have a document open to hear that it changed, so its phone here has all of them open; a cold open loads the list and 50 documents.

Both peers run in Node.js, as people run them; a part of their time is that of the language. They are general tools that know nothing of rights, verdicts or deadlines.
`
}

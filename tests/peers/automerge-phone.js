// Phones with automerge-repo: a document a finding, and one that lists them all,
// since a document can only be asked for by name.

import fs from "node:fs"
import path from "node:path"
import { Repo } from "@automerge/automerge-repo"
import { getConflicts, getHeads } from "@automerge/automerge"
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket"
import { obey, timed } from "./lines.js"
import { Files, FlushedFiles } from "./automerge-files.js"

// So long without a message means that nobody has more to say. Not counted.
const QUIET_MS = 1000

const [file, mode] = process.argv.slice(2)
const findings = JSON.parse(fs.readFileSync(file))

class Phone {
  static async open(folder) {
    const phone = new Phone()
    fs.mkdirSync(folder, { recursive: true })
    phone.file = path.join(folder, "list.json")
    const storage = mode === "flushed" ? new FlushedFiles(folder) : new Files(folder)
    phone.repo = new Repo({ storage })
    phone.unlisted = []
    phone.heard = new Map()
    if (fs.existsSync(phone.file)) {
      phone.list = await phone.repo.find(JSON.parse(fs.readFileSync(phone.file)))
    }
    return phone
  }

  async close() {
    await this.repo.flush()
    await this.repo.shutdown()
  }

  // The first phone makes the list, the others are told its name.
  async join(server, secret) {
    if (secret) {
      await this.#online(server, async () => {
        this.list = await this.repo.find(secret)
        await this.#settled()
      })
    } else {
      this.list = this.repo.create({ findings: [] })
    }
    await this.repo.flush([this.list.documentId])
    fs.writeFileSync(this.file, JSON.stringify(this.list.url))
    return { secret: this.list.url }
  }

  // The list is changed once before each synchronisation, not for each finding:
  // cheaper here, and it can be made again from the documents.
  async capture(finding) {
    const made = this.repo.create(finding)
    await this.repo.flush([made.documentId])
    this.unlisted.push(made.url)
  }

  #listAll() {
    if (this.unlisted.length === 0) return
    this.list.change((doc) => doc.findings.push(...this.unlisted))
    this.unlisted = []
  }

  // Whatever the list comes to name is asked for at once.
  sync(server) {
    this.#listAll()
    const fetch = () => {
      const known = this.repo.handles
      const missing = this.list.doc().findings.filter((url) => !(url.slice("automerge:".length) in known))
      // What is not to be had at once may still come; all is waited for below.
      for (const url of missing) this.repo.find(url, { allowableStates: ["ready", "unavailable"] })
    }
    return this.#online(server, async () => {
      fetch()
      this.list.on("change", fetch)
      await this.#settled()
      this.list.off("change", fetch)
    })
  }

  push(server) {
    this.#listAll()
    return this.#online(server, () => this.#settled())
  }

  // Connected while something is done, then everything is saved: how long until
  // the last message, and until it was saved.
  async #online(server, work) {
    const started = performance.now()
    let last = started
    this.silent = () => performance.now() - last
    const hear = ({ documentId, syncState }) => {
      last = performance.now()
      if (syncState.theirHeads) this.heard.set(documentId, syncState.theirHeads)
    }
    this.repo.synchronizer.on("sync-state", hear)
    const adapter = new WebSocketClientAdapter(server.replace("http", "ws"))
    this.repo.networkSubsystem.addNetworkAdapter(adapter)
    await new Promise((resolve) => this.repo.networkSubsystem.once("peer", resolve))
    try {
      await work()
    } finally {
      this.repo.synchronizer.off("sync-state", hear)
      this.repo.networkSubsystem.removeNetworkAdapter(adapter)
    }
    const [, saved] = await timed(() => this.repo.flush())
    return { ms: last - started + saved }
  }

  // Until the server has named for every document the heads that are here, and
  // nobody says anything any more. What it believes to be the same on both sides
  // it does not mention, so silence is part of the answer.
  async #settled() {
    const agreed = (handle) => {
      const theirs = this.heard.get(handle.documentId)
      return theirs && handle.isReady() && same(theirs, getHeads(handle.doc()))
    }
    await new Promise((resolve) => {
      const patrol = setInterval(() => {
        if (this.silent() < QUIET_MS || !Object.values(this.repo.handles).every(agreed)) return
        clearInterval(patrol)
        resolve()
      }, 20)
    })
  }

  async count() {
    return this.list.doc().findings.length
  }

  async #find({ title }) {
    for (const url of this.list.doc().findings) {
      const handle = await this.repo.find(url)
      if (handle.doc().title === title) return handle
    }
    throw new Error(`${title} is not here`)
  }

  async edit(finding, field, value) {
    const handle = await this.#find(finding)
    handle.change((doc) => (doc[field] = value))
    await this.repo.flush([handle.documentId])
  }

  async show(finding, field) {
    const doc = (await this.#find(finding)).doc()
    const kept = Object.values(getConflicts(doc, field) ?? { only: doc[field] })
    return { value: doc[field], kept, told: false }
  }

  // The list is in the order in which they were found.
  async newest(limit) {
    const urls = this.list.doc().findings.slice(-limit).reverse()
    const handles = await Promise.all(urls.map((url) => this.repo.find(url)))
    return handles.map((handle) => handle.doc().title)
  }
}

function same(theirs, mine) {
  return theirs.length === mine.length && theirs.every((head) => mine.includes(head))
}

await obey(Phone.open, findings)

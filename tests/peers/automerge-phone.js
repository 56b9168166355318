// Phones with automerge-repo: a document a finding, and one that lists them all,
// since a document can only be asked for by name.

import fs from "node:fs"
import path from "node:path"
import { Repo } from "@automerge/automerge-repo"
import { getConflicts, getHeads } from "@automerge/automerge"
import { WebSocketClientAdapter } from "@automerge/automerge-repo-network-websocket"
import { obey } from "./lines.js"
import { Files, FlushedFiles } from "./automerge-files.js"

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

  async sync(server) {
    this.#listAll()
    await this.#online(server, async () => {
      for (;;) {
        await this.#settled()
        const known = new Set(Object.keys(this.repo.handles))
        const missing = this.list.doc().findings.filter((url) => !known.has(url.slice("automerge:".length)))
        if (missing.length === 0) break
        await Promise.all(missing.map((url) => this.repo.find(url)))
      }
      await this.repo.flush()
    })
  }

  async push(server) {
    this.#listAll()
    await this.#online(server, () => this.#settled())
    await this.repo.flush()
  }

  // Connected while something is done; the server's heads are heard anew.
  async #online(server, work) {
    this.heard = new Map()
    this.changed = () => {}
    const hear = ({ documentId, syncState }) => {
      if (syncState.theirHeads) this.heard.set(documentId, syncState.theirHeads)
      this.changed(documentId)
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
  }

  // Until the server has said for every document that it has what is here.
  async #settled() {
    const waiting = new Map(Object.entries(this.repo.handles))
    const look = (id) => {
      const [theirs, handle] = [this.heard.get(id), waiting.get(id)]
      if (theirs && handle?.isReady() && same(theirs, getHeads(handle.doc()))) waiting.delete(id)
    }
    for (const id of waiting.keys()) look(id)
    await new Promise((resolve) => {
      const done = () => {
        if (waiting.size > 0) return
        clearInterval(patrol)
        resolve()
      }
      // A message may be heard of before its document has it.
      const patrol = setInterval(() => {
        for (const id of waiting.keys()) look(id)
        done()
      }, 100)
      this.changed = (id) => {
        look(id)
        done()
      }
      done()
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

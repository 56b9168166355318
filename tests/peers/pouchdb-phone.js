// Phones with PouchDB: a document a finding, its name sorting by time.

import fs from "node:fs"
import path from "node:path"
import PouchDB from "pouchdb"
import { obey } from "./lines.js"
import { flushed } from "./pouchdb-flushed.js"

const [file, mode] = process.argv.slice(2)
const findings = JSON.parse(fs.readFileSync(file))

class Phone {
  constructor(folder) {
    fs.mkdirSync(folder, { recursive: true })
    const options = mode === "flushed" ? { db: flushed } : {}
    this.db = new PouchDB(path.join(folder, "findings"), options)
  }

  static async open(folder) {
    const phone = new Phone(folder)
    await phone.db.info()
    return phone
  }

  close() {
    return this.db.close()
  }

  join() {}

  capture({ id, ...finding }) {
    return this.db.put({ _id: id, ...finding })
  }

  // A thousand at a time, as everybody else; its default is a hundred.
  async #with(server, work) {
    const remote = new PouchDB(`${server}/findings`, { skip_setup: true })
    const done = await work(remote, { batch_size: 1000 })
    for (const side of done.push ? [done.push, done.pull] : [done]) {
      if (!side.ok || side.errors.length > 0) throw new Error(JSON.stringify(side))
    }
    await remote.close()
  }

  sync(server) {
    return this.#with(server, (remote, options) => this.db.sync(remote, options))
  }

  push(server) {
    return this.#with(server, (remote, options) => this.db.replicate.to(remote, options))
  }

  async count() {
    return (await this.db.info()).doc_count
  }

  async edit({ id }, field, value) {
    await this.db.put({ ...(await this.db.get(id)), [field]: value })
  }

  // The ordinary read says nothing of conflicts; who asks for them gets the
  // names of the other revisions, and each with another read.
  async show({ id }, field) {
    const shown = await this.db.get(id)
    const asked = await this.db.get(id, { conflicts: true })
    const kept = [shown[field]]
    for (const rev of asked._conflicts ?? []) kept.push((await this.db.get(id, { rev }))[field])
    return { value: shown[field], kept, told: "_conflicts" in shown }
  }

  async newest(limit) {
    const { rows } = await this.db.allDocs({ descending: true, limit, include_docs: true })
    return rows.map((row) => row.doc.title)
  }
}

await obey(Phone.open, findings)

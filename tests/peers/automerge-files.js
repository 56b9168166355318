// Where automerge-repo keeps documents: its own storage in files; the flushed
// one also waits until a file is on the disk, which the original does not.

import fs from "node:fs"
import path from "node:path"
import { NodeFSStorageAdapter } from "@automerge/automerge-repo-storage-nodefs"

export class FlushedFiles extends NodeFSStorageAdapter {
  #folder

  constructor(folder) {
    super(folder)
    this.#folder = folder
  }

  async save(key, bytes) {
    await super.save(key, bytes)
    const [first, ...rest] = key
    const file = path.join(this.#folder, first.slice(0, 2), first.slice(2), ...rest)
    for (const each of [file, path.dirname(file)]) {
      const handle = await fs.promises.open(each)
      await handle.sync()
      await handle.close()
    }
  }
}

export { NodeFSStorageAdapter as Files }

// PouchDB's HTTP server: express-pouchdb over LevelDB files.

import fs from "node:fs"
import path from "node:path"
import express from "express"
import expressPouchDB from "express-pouchdb"
import PouchDB from "pouchdb"

const [folder] = process.argv.slice(2)
fs.mkdirSync(folder, { recursive: true })
const Here = PouchDB.defaults({ prefix: folder + path.sep })
const app = express()
app.use(expressPouchDB(Here, { mode: "minimumForPouchDB", inMemoryConfig: true }))
await new Here("findings").info()
const listening = app.listen(0, "127.0.0.1", () => {
  console.log(`listening on 127.0.0.1:${listening.address().port}`)
})

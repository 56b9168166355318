// Who takes part, how each is started, and what "saved" means with each.

import fs from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { output, phones, server } from "./processes.js"

const here = path.dirname(fileURLToPath(import.meta.url))
const script = (name) => path.join(here, name)

// 2025-06-11 in Shanghai, when the findings begin.
const MORNING_MS = 1_749_603_600_000

const node = (name, findings, ...more) => (strace) =>
  phones(process.execPath, [script(name), findings, ...more], strace)

export function contenders(binaries, findings) {
  const bin = (name) => path.join(binaries, name)
  return {
    shaodao: {
      name: "Shaodao",
      phones: (strace) => phones(bin("peer_run"), ["phones", findings], strace),
      async server(folder) {
        const data = path.join(folder, "server")
        const started = await server(
          bin("shaodao-server"),
          ["--data", data, "serve", "--listen", "127.0.0.1:0", "--rehearsal-ms", String(MORNING_MS)],
          // A month's work of a phone happens on one day here.
          {
            SHAODAO_LOG_LEVEL: "warn",
            SHAODAO_LIMITS_ACTIONS_PER_DAY: "1000000",
            SHAODAO_LIMITS_RECORDS_PER_DAY: "1000000",
            SHAODAO_LIMITS_DEVICE_BURST: "1000000",
            SHAODAO_LIMITS_ADDRESS_BURST: "1000000",
          },
        )
        return { ...started, data }
      },
      async join(process, phone, address, { data }, person) {
        const admin = (...args) =>
          output(bin("shaodao-server"), ["--data", data, "admin", "--json", "--as", "Wen", ...args])
        const [{ ticket }] = JSON.parse(await admin("ticket", "--person", person))
        const shown = await process.do("join", { phone, server: address, secret: ticket })
        await admin("confirm", shown.check_code)
        await process.do("join", { phone, server: address })
      },
    },
    plain: {
      name: "SQLite + JSON + zstd",
      phones: (strace) => phones(bin("peer_run"), ["plain-phones", findings], strace),
      async server(folder) {
        const data = path.join(folder, "server")
        fs.mkdirSync(data)
        return { ...(await server(bin("peer_run"), ["plain-server", path.join(data, "plain.db")])), data }
      },
      async join() {},
    },
    pouchdb: {
      name: "PouchDB",
      phones: node("pouchdb-phone.js", findings),
      flushed: node("pouchdb-phone.js", findings, "flushed"),
      async server(folder) {
        const data = path.join(folder, "server")
        return { ...(await server(process.execPath, [script("pouchdb-server.js"), data])), data }
      },
      async join() {},
    },
    automerge: {
      name: "automerge-repo",
      phones: node("automerge-phone.js", findings),
      flushed: node("automerge-phone.js", findings, "flushed"),
      async server(folder) {
        const data = path.join(folder, "server")
        return { ...(await server(process.execPath, [script("automerge-server.js"), data])), data }
      },
      // Somebody makes the list of documents, everybody else is told its name.
      async join(process, phone, address, street) {
        const { secret } = await process.do("join", { phone, server: address, secret: street.secret ?? null })
        if (!street.secret) {
          street.secret = secret
          await process.do("sync", { phone, server: address })
        }
      },
    },
  }
}

// The people of the sample street who report, by number.
const COMMUNITIES = ["01001", "01002", "01003", "01006", "01007", "01008", "01009", "01010", "01011", "01013"]
const MEMBERS = ["01", "02", "03", "04", "06"]
export const REPORTER = "P01006-01"
export const SECRETARY = "P01006-00"
export const SUPERVISORS = ["S-03", "S-01", "S-02"]

export function member(nth) {
  return `P${COMMUNITIES[nth % 10]}-${MEMBERS[Math.floor(nth / 10) % 5]}`
}

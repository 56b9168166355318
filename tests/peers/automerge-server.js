// automerge-repo's websocket sync server, set up as its own package
// automerge-repo-sync-server does it (which still depends on version 1).

import http from "node:http"
import { Repo } from "@automerge/automerge-repo"
import { WebSocketServerAdapter } from "@automerge/automerge-repo-network-websocket"
import { WebSocketServer } from "ws"
import { Files } from "./automerge-files.js"

const [folder] = process.argv.slice(2)
const sockets = new WebSocketServer({ noServer: true })
new Repo({
  network: [new WebSocketServerAdapter(sockets)],
  storage: new Files(folder),
  peerId: "server",
  sharePolicy: async () => false,
})
const server = http.createServer()
server.on("upgrade", (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit("connection", ws, request))
})
server.listen(0, "127.0.0.1", () => {
  console.log(`listening on 127.0.0.1:${server.address().port}`)
})

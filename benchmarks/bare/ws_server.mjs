// Node.js with the package `ws`: node benchmarks/bare/ws_server.mjs
import { WebSocketServer } from "ws";

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  backlog: 2048,
  perMessageDeflate: false,
});

server.on("connection", (socket) => {
  socket.on("error", () => {}); // a peer that is gone: `close` follows
  socket.on("message", (data, isBinary) => {
    if (isBinary) {
      socket.send(JSON.stringify({ type: "ack", size: data.length }));
      return;
    }
    const message = JSON.parse(data);
    if (message.id !== undefined) socket.send(JSON.stringify({ type: "ack", id: message.id }));
  });
});
server.on("listening", () => console.log(server.address().port));
process.on("SIGTERM", () => process.exit(0));

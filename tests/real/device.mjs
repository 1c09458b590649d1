// A device on Node's `ws`, led by a test: reads one JSON order a line from standard input, tells
// one JSON fact a line on standard output. Orders: connect {url, options}, text {text},
// fragments {pieces: [base64]}, ping {payload}, close {code}.
import { createInterface } from "node:readline";
import WebSocket from "ws";

// A test must not wait for ever.
const PATIENCE = 30_000;

let socket;

function tell(fact) {
  process.stdout.write(JSON.stringify(fact) + "\n");
}

function connect({ url, options }) {
  socket = new WebSocket(url, options);
  socket.on("open", () => {
    tell({ event: "open", extensions: socket.extensions, protocol: socket.protocol });
  });
  socket.on("upgrade", (answer) => tell({ event: "upgrade", headers: answer.rawHeaders }));
  socket.on("message", (data, isBinary) => {
    tell({ event: "message", isBinary, text: data.toString("utf8") });
  });
  socket.on("ping", (data) => tell({ event: "ping", size: data.length }));
  socket.on("pong", (data) => tell({ event: "pong", text: data.toString("utf8") }));
  socket.on("close", (code, reason) => tell({ event: "close", code, reason: reason.toString() }));
  socket.on("error", (error) => tell({ event: "error", message: error.message }));
  socket.on("unexpected-response", (_request, answer) => {
    const parts = [];
    answer.on("data", (part) => parts.push(part));
    answer.on("end", () => {
      tell({ event: "refused", status: answer.statusCode, body: Buffer.concat(parts).toString() });
    });
  });
}

const orders = {
  connect,
  text: ({ text }) => socket.send(text),
  fragments: ({ pieces }) => {
    pieces.forEach((piece, index) => {
      const fin = index === pieces.length - 1;
      socket.send(Buffer.from(piece, "base64"), { binary: true, fin });
    });
  },
  ping: ({ payload }) => socket.ping(payload),
  close: ({ code }) => socket.close(code),
};

setTimeout(() => process.exit(1), PATIENCE).unref();
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { order, ...details } = JSON.parse(line);
    orders[order](details);
  })
  .on("close", () => process.exit());

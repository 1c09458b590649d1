// uWebSockets, by way of Bun, whose server it is: bun benchmarks/bare/bun_server.mjs
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response("WebSocket only", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    message(socket, data) {
      if (typeof data !== "string") {
        socket.send(JSON.stringify({ type: "ack", size: data.length }));
        return;
      }
      const message = JSON.parse(data);
      if (message.id !== undefined) socket.send(JSON.stringify({ type: "ack", id: message.id }));
    },
  },
});

console.log(server.port);
process.on("SIGTERM", () => process.exit(0));

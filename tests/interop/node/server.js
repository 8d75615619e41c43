// The interop server on the ws package: same paths as the other servers (see ../servers/__init__.py).

import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const closures = new Map(); // id -> { promise, resolve }

function closure(id) {
  if (!closures.has(id)) closures.set(id, Promise.withResolvers?.() ?? withResolvers());
  return closures.get(id);
}

function withResolvers() {
  let resolve;
  const promise = new Promise((done) => { resolve = done; });
  return { promise, resolve };
}

function urlOf(request) {
  return new URL(request.url, "http://127.0.0.1");
}

function choose(offered) {
  return ["v2.interop", "v1.interop"].find((name) => offered.has(name)) ?? false;
}

const echo = (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
};

const conversations = {
  "/echo": echo,
  "/subprotocol": echo,
  "/close": (socket) => socket.close(4001, "bye"),
  "/count": (socket, url) => {
    const n = Number(url.searchParams.get("n"));
    for (let i = 0; i < n; i++) socket.send(String(i));
    socket.close(1000, "done");
  },
  "/record": (socket, url) => {
    const { resolve } = closure(url.searchParams.get("id"));
    socket.on("close", (code, reason) => resolve(`${code} ${reason}`.trim()));
  },
  "/ping": (socket) => {
    socket.on("pong", (data) => socket.send(`pong: ${data}`));
    socket.ping("are you there");
  },
};

const server = createServer(async (request, response) => {
  const url = urlOf(request);
  response.setHeader("Content-Type", "text/plain");
  if (url.pathname === "/hello") response.end("hello from node");
  else if (url.pathname === "/recorded") response.end(await closure(url.searchParams.get("id")).promise);
  else response.writeHead(404).end("not found");
});

const plain = new WebSocketServer({ noServer: true, perMessageDeflate: true, handleProtocols: () => false });
const choosy = new WebSocketServer({ noServer: true, handleProtocols: choose });

server.on("upgrade", (request, socket, head) => {
  const url = urlOf(request);
  const converse = conversations[url.pathname];
  if (converse === undefined) {
    const body = url.pathname === "/refuse" ? "no entry" : "not found";
    const status = url.pathname === "/refuse" ? "403 Forbidden" : "404 Not Found";
    socket.end(
      `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\n` +
        `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    return;
  }
  const acceptor = url.pathname === "/subprotocol" ? choosy : plain;
  acceptor.handleUpgrade(request, socket, head, (accepted) => converse(accepted, url));
});

server.listen(0, "127.0.0.1", () => console.log(`PORT ${server.address().port}`));

// The test run holds our standard input open; when it ends, however it ends, so do we.
process.stdin.on("end", () => process.exit(0)).resume();

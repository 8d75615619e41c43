// One run of ws; arguments and output as ../README.md says.

import { readFileSync } from "node:fs";
import { WebSocket } from "ws";

const HIGH_WATER = 1024 * 1024;

if (process.argv.length !== 9) throw new Error("usage: client.js KIND URL TYPE SIZE COUNT WARM_UP BUDGET");
const [kind, url, type] = process.argv.slice(2);
const [size, count, warmUp, budget] = process.argv.slice(5).map(Number);
const message = type === "binary" ? Buffer.alloc(size, "x") : "x".repeat(size);

function open() {
  return new Promise((resolve, reject) => {
    const session = new WebSocket(url, { perMessageDeflate: false });
    session.on("open", () => resolve(session));
    session.on("error", reject);
  });
}

function close(session) {
  return new Promise((resolve) => {
    session.on("close", resolve);
    session.close(1000);
  });
}

// The length of the last of so many messages; each but the last is answered, if there is an answer.
function receive(session, left, answer) {
  return new Promise((resolve) => {
    const heard = (data, isBinary) => {
      const { length } = isBinary ? data : data.toString();
      left -= 1;
      if (left === 0) {
        session.off("message", heard);
        resolve(length);
      } else if (answer !== undefined) {
        session.send(answer);
      }
    };
    session.on("message", heard);
  });
}

async function send(session) {
  for (let sent = 0; sent < count; sent += 1) {
    if (session.bufferedAmount < HIGH_WATER) session.send(message);
    else await new Promise((written) => session.send(message, written));
  }
}

function check(length, expected) {
  if (length !== expected) throw new Error(`the last message has length ${length}, expected ${expected}`);
}

// What is done again and again, `count` units each time.
const chunks = {
  connect: () => async () => {
    for (let done = 0; done < count; done += 1) await close(await open());
  },
  receive: (session) => async () => {
    const received = receive(session, count);
    session.send("go");
    check(await received, size);
  },
  send: (session) => async () => {
    const answered = receive(session, 1);
    await send(session);
    check(await answered, 4);
  },
  round_trips: (session) => async () => {
    const received = receive(session, count, message);
    session.send(message);
    check(await received, size);
  },
};

function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function kib(field) {
  return Number(readFileSync("/proc/self/status", "utf8").match(new RegExp(`^${field}:\\s+(\\d+)`, "m"))[1]);
}

async function measure(chunk) {
  const start = cpuSeconds();
  while (cpuSeconds() - start < warmUp) await chunk();
  let units = 0;
  const wall = performance.now();
  const cpu = cpuSeconds();
  while (cpuSeconds() - cpu < budget) {
    await chunk();
    units += count;
  }
  return { cpu_us: ((cpuSeconds() - cpu) * 1e6) / units, wall_us: ((performance.now() - wall) * 1e3) / units };
}

async function memory() {
  for (let done = 0; done < 20; done += 1) await close(await open());
  globalThis.gc(); // node --expose-gc
  const before = kib("VmRSS");
  const sessions = [];
  while (sessions.length < count) sessions.push(await open());
  globalThis.gc();
  const grown = kib("VmRSS") - before;
  await Promise.all(sessions.map(close));
  return { kib: grown / count };
}

async function run() {
  if (kind === "memory") return memory();
  if (!(kind in chunks)) throw new Error(`there is no scenario of kind ${kind}`);
  return measure(chunks[kind](kind === "connect" ? undefined : await open()));
}

try {
  const values = await run();
  console.log(JSON.stringify({ ...values, peak_kib: kib("VmHWM") }));
  process.exit();
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

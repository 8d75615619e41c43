// What the benchmark measures against: plain JavaScript that awaits each message, in the same page.
class AsyncSocket {
  static open(url) {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    return new Promise((resolve, reject) => {
      socket.onopen = () => resolve(new AsyncSocket(socket));
      socket.onerror = reject;
    });
  }

  constructor(socket) {
    this.socket = socket;
    this.queue = [];
    this.waiting = null;
    socket.onmessage = ({ data }) => {
      if (this.waiting) {
        const wake = this.waiting;
        this.waiting = null;
        wake(data);
      } else {
        this.queue.push(data);
      }
    };
  }

  receive() {
    if (this.queue.length) {
      return Promise.resolve(this.queue.shift());
    }
    return new Promise((resolve) => (this.waiting = resolve));
  }
}

export async function roundTrips(url, data, count) {
  const socket = await AsyncSocket.open(url);
  const start = performance.now();
  for (let at = 0; at < count; at++) {
    socket.socket.send(data);
    await socket.receive();
  }
  const seconds = (performance.now() - start) / 1000;
  socket.socket.close();
  return count / seconds;
}

export async function flood(url, count) {
  const socket = await AsyncSocket.open(url);
  const start = performance.now();
  socket.socket.send("go");
  for (let at = 0; at < count; at++) {
    await socket.receive();
  }
  const seconds = (performance.now() - start) / 1000;
  socket.socket.close();
  return count / seconds;
}

// The page that tests drive: `lanes.page(code)` and `lanes.worker(code)` run Python.
import { startPython } from "/page/python.js";

const errors = (window.pageErrors = []);
addEventListener("error", (event) => errors.push(String(event.message)));
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));

function startWorker() {
  const worker = new Worker("/page/worker.js", { type: "module" });
  window.terminateWorker = () => worker.terminate();
  const waiting = new Map();
  let last = 0;
  const run = (code) =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      worker.postMessage({ id: last, code });
    });
  return new Promise((resolve, reject) => {
    worker.onerror = (event) => {
      errors.push(`worker: ${event.message}`);
      reject(new Error(event.message));
    };
    worker.onmessage = ({ data }) => {
      if (data.ready) {
        resolve(run);
      } else if (data.uncaught) {
        errors.push(`worker: ${data.uncaught}`);
      } else {
        waiting.get(data.id)(data.result);
        waiting.delete(data.id);
      }
    };
  });
}

const starting = { page: () => startPython("page"), worker: startWorker };
const started = {};
window.run = async (lane, code) => {
  started[lane] ??= starting[lane]();
  return (await started[lane])(code);
};
window.takeErrors = () => errors.splice(0);

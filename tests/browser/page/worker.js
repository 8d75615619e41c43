// A module Web Worker with a Python of its own.
import { startPython } from "/page/python.js";

addEventListener("unhandledrejection", (event) => postMessage({ uncaught: String(event.reason) }));
const run = await startPython("worker");
onmessage = async ({ data }) => postMessage({ id: data.id, result: await run(data.code) });
postMessage({ ready: true });

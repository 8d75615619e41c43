// Starts one Python and unpacks the site's archive into it; the same in a page and in a worker.
import { loadPyodide } from "/pyodide/pyodide.mjs";

export async function startPython(lane) {
  const printed = [];
  const keep = (line) => printed.push(line);
  const python = await loadPyodide({
    indexURL: "/pyodide/",
    env: { SITE: location.origin, LANE: lane, PYTHONDONTWRITEBYTECODE: "1", HOME: "/home/pyodide" },
    stdout: keep,
    stderr: keep,
  });
  if (!location.search.includes("bare")) {
    const archive = await (await fetch("/site.zip")).arrayBuffer();
    const target = python.runPython("import site; site.getsitepackages()[0]");
    python.unpackArchive(archive, "zip", { extractDir: target });
  }
  return async (code) => {
    printed.length = 0;
    try {
      return { value: await python.runPythonAsync(code), printed: printed.join("\n") };
    } catch (error) {
      return { error: String(error), printed: printed.join("\n") };
    }
  };
}

// The page: starts Python, runs the program in the editor, and shows what it says through `ui`.
const $ = (id) => document.getElementById(id);
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

let python = null;
let waiting = null; // resolves the program's `await ui.typed()`
const typed = [];

// ---------------------------------------------------------------- what the program sees

function add(className, ...parts) {
  const item = document.createElement("li");
  item.className = className;
  item.append(...parts);
  const list = $("frames");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(item);
  if (atEnd) {
    list.scrollTop = list.scrollHeight;
  }
}

function block(className, text) {
  const element = document.createElement("div");
  element.className = className;
  element.textContent = text;
  return element;
}

const ui = {
  url: () => $("url").value.trim(),
  show(direction, kind, text, size) {
    const bytes = `${size} ${size === 1 ? "byte" : "bytes"}`;
    const meta = `${kind} · ${bytes} · ${clock.format(new Date())}`;
    add(`${direction} ${kind}`, block("body", text), block("meta", meta));
  },
  failed(text) {
    add("note failed", text);
    setState("failed", "failed");
  },
  opened() {
    add("note", "connected");
    setState("open", "connected");
  },
  print(text, isError) {
    const output = $("console");
    const line = document.createElement("span");
    line.className = isError ? "error" : "";
    line.textContent = `${text}\n`;
    output.append(line);
    output.scrollTop = output.scrollHeight;
  },
  typed: () =>
    typed.length
      ? Promise.resolve(typed.shift())
      : new Promise((resolve) => {
          waiting = resolve;
        }),
};

// ---------------------------------------------------------------- state

function setState(state, text) {
  $("status").dataset.state = state;
  $("status").textContent = text;
  const isOpen = state === "open";
  for (const id of ["message", "send"]) {
    $(id).disabled = !isOpen;
  }
  $("connect").textContent = isOpen || state === "busy" ? "Disconnect" : "Connect";
  $("connect").classList.toggle("primary", !isOpen);
  if (isOpen) {
    $("message").focus();
  }
}

async function run() {
  typed.length = 0;
  waiting = null;
  setState("busy", "running …");
  const runner = python.pyimport("runner");
  const ended = await runner.run($("code").value, $("program").value);
  runner.destroy();
  if (ended === "finished") {
    if ($("status").dataset.state === "open") {
      add("note", "disconnected");
    }
    setState("idle", "not connected");
  }
}

function stop() {
  const runner = python.pyimport("runner");
  runner.stop();
  runner.destroy();
}

// ---------------------------------------------------------------- the editor

const TOKENS = new RegExp(
  [
    "(?<comment>#[^\\n]*)",
    "(?<string>[fbr]{0,2}(?:\"\"\"[\\s\\S]*?\"\"\"|\"(?:\\\\.|[^\"\\\\\\n])*\"|'(?:\\\\.|[^'\\\\\\n])*'))",
    "(?<keyword>\\b(?:False|None|True|and|as|assert|async|await|break|case|class|continue|def|del|elif|else|except|finally|for|from|if|import|in|is|lambda|match|not|or|pass|raise|return|try|while|with|yield)\\b)",
    "(?<number>\\b\\d[\\d_.]*\\b)",
    "(?<call>\\b[A-Za-z_]\\w*(?=\\())",
  ].join("|"),
  "g",
);

function paint() {
  const code = $("code").value;
  const painted = [];
  let last = 0;
  for (const found of code.matchAll(TOKENS)) {
    const [kind] = Object.entries(found.groups).find(([, text]) => text !== undefined);
    const span = document.createElement("span");
    span.className = kind;
    span.textContent = found[0];
    painted.push(code.slice(last, found.index), span);
    last = found.index + found[0].length;
  }
  $("painted").replaceChildren(...painted, code.slice(last), "\n");
  follow();
}

function follow() {
  $("painted").scrollTop = $("code").scrollTop;
  $("painted").scrollLeft = $("code").scrollLeft;
}

async function load(name) {
  $("code").value = await (await fetch(name)).text();
  $("code").scrollTop = 0;
  paint();
}

// ---------------------------------------------------------------- start

function connectEvents() {
  $("connection").addEventListener("submit", (event) => {
    event.preventDefault();
    if ($("connect").textContent === "Disconnect") {
      stop();
    } else {
      run();
    }
  });
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const message = { text: $("message").value, binary: $("binary").checked };
    $("message").value = "";
    if (waiting) {
      waiting(message);
      waiting = null;
    } else {
      typed.push(message);
    }
  });
  $("run").addEventListener("click", run);
  $("program").addEventListener("change", () => load($("program").value));
  $("code").addEventListener("input", paint);
  $("code").addEventListener("scroll", follow);
  $("code").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !$("run").disabled) {
      event.preventDefault();
      run();
    } else if (event.key === "Tab" && !event.shiftKey) {
      event.preventDefault();
      $("code").setRangeText("    ", $("code").selectionStart, $("code").selectionEnd, "end");
      paint();
    }
  });
}

async function start() {
  $("url").value = new URL("/echo", location.href).href.replace(/^http/, "ws");
  connectEvents();
  await load($("program").value);
  const { pyodide } = await (await fetch("config.json")).json();
  const { loadPyodide } = await import(`${pyodide}pyodide.mjs`);
  python = await loadPyodide({
    indexURL: pyodide,
    stdout: (line) => ui.print(line, false),
    stderr: (line) => ui.print(line, true),
  });
  const target = python.runPython("import site; site.getsitepackages()[0]");
  for (const name of ["ktor_client.zip", "ui.py", "runner.py"]) {
    const content = await (await fetch(name)).arrayBuffer();
    if (name.endsWith(".zip")) {
      python.unpackArchive(content, "zip", { extractDir: target });
    } else {
      python.FS.writeFile(`${target}/${name}`, new Uint8Array(content));
    }
  }
  python.registerJsModule("page", ui);
  for (const id of ["connect", "run"]) {
    $(id).disabled = false;
  }
  setState("idle", "not connected");
}

start().catch((error) => {
  setState("failed", "Python did not start");
  ui.print(String(error), true);
});

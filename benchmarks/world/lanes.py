"""The lanes: how the client of each language is built from its pinned sources, and started."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.plan import Run
from benchmarks.runner import Client
from benchmarks.scenarios import SCENARIOS, web_socket_url
from tests.interop.lanes import LaneAbsentError, build, is_newer, tool

HERE = Path(__file__).parent
BUILD = HERE / "build"

WARM_UP = 0.2
"""Seconds of CPU time before a program is measured."""
WARM_UP_NODE = 1.0
WARM_UP_JVM = 8.0

Command = list[str | Path]


@dataclass(frozen=True)
class Lane:
    """The client of another language."""

    name: str
    language: str
    make: Callable[[], Command]
    """Builds it; answers how it is started. Raises `LaneAbsentError` where something is missing."""
    version: Callable[[], str]
    """The library's, as its sources are pinned."""
    toolchain: tuple[str, ...]
    """A command that tells the version of the language."""
    warm_up: float = WARM_UP

    def versions(self) -> dict[str, str]:
        told = subprocess.run(self.toolchain, capture_output=True, text=True, check=True)
        return {
            self.language: _found(r"(\d+(?:\.\d+)+)", told.stdout + told.stderr),
            self.name: self.version(),
        }

    def client(self) -> Client:
        """Raises `LaneAbsentError` where something is missing."""
        program = self.make()
        return Client(lambda run, port, budget: [*program, *self._arguments(run, port, budget)])

    def _arguments(self, run: Run, port: int, budget: float) -> list[str]:
        """KIND URL TYPE SIZE COUNT WARM_UP BUDGET, the same for all."""
        scenario = SCENARIOS[run.scenario]
        return [
            scenario.kind,
            web_socket_url(port, scenario.answer),
            "binary" if scenario.binary else "text",
            str(scenario.size),
            str(scenario.sessions if scenario.kind == "memory" else scenario.count),
            str(self.warm_up),
            str(budget),
        ]


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"{pattern} is not found in {text!r}")
    return match[1]


def _pinned(file: str, pattern: str) -> Callable[[], str]:
    return lambda: _found(pattern, (HERE / file).read_text())


def _rust() -> Command:
    command = (tool("cargo"), "build", "--release", "--locked", "--quiet")
    build([*command, "--target-dir", str(BUILD / "rust")], HERE / "rust", "failed to download")
    return [BUILD / "rust" / "release" / "client"]


def _boost() -> str:
    """Boost's version; raises `LaneAbsentError` where its headers are missing."""
    program = "#include <boost/beast/version.hpp>\n#include <boost/version.hpp>\nBOOST_LIB_VERSION"
    command = (tool("g++"), "-E", "-P", "-x", "c++", "-")
    done = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LaneAbsentError("there are no headers of Boost (Debian: apt install libboost-dev)")
    return _found(r'"(\d+_\d+)"\s*$', done.stdout).replace("_", ".")


def _cpp() -> Command:
    compiler = tool("g++")
    _boost()
    source, program = HERE / "cpp" / "client.cpp", BUILD / "cpp" / "client"
    if not is_newer(program, source):
        program.parent.mkdir(parents=True, exist_ok=True)
        flags = ("-std=c++20", "-fcoroutines", "-O3", "-DNDEBUG", "-pthread")
        build([compiler, *flags, str(source), "-o", str(program)], HERE, "\0")
    return [program]


def _go() -> Command:
    program = BUILD / "go" / "client"
    command = (tool("go"), "build", "-mod=readonly", "-o", str(program), ".")
    build(command, HERE / "go", "dial tcp")
    return [program]


def _node() -> Command:
    node, npm = tool("node"), tool("npm")
    folder = BUILD / "node"
    shutil.copytree(HERE / "node", folder, dirs_exist_ok=True)
    if not is_newer(folder / "node_modules" / ".package-lock.json", folder / "package-lock.json"):
        build([npm, "ci", "--prefer-offline", "--ignore-scripts"], folder, "npm error")
    return [node, "--expose-gc", folder / "client.js"]


def _jvm(client: str) -> Callable[[], Command]:
    def make() -> Command:
        java, maven = tool("java"), tool("mvn")
        project, target = HERE / "jvm", BUILD / "jvm"
        class_path = target / "classpath.txt"
        if not is_newer(class_path, project / "pom.xml", *project.glob("src/*")):
            class_path.unlink(missing_ok=True)
            build([maven, "--batch-mode", "--quiet", "compile"], project, "ResolutionException")
        jars = f"{target / 'classes'}{os.pathsep}{class_path.read_text().strip()}"
        return [java, "-cp", jars, "MainKt", client]

    return make


LANES = {
    lane.name: lane
    for lane in (
        Lane(
            "fastwebsockets",
            "Rust",
            _rust,
            _pinned("rust/Cargo.toml", r'fastwebsockets = \{ version = "=([\d.]+)"'),
            ("rustc", "--version"),
        ),
        Lane("Boost.Beast", "C++", _cpp, _boost, ("g++", "-dumpfullversion")),
        Lane(
            "coder/websocket",
            "Go",
            _go,
            _pinned("go/go.mod", r"coder/websocket v([\d.]+)"),
            ("go", "version"),
        ),
        Lane(
            "ws",
            "Node",
            _node,
            _pinned("node/package.json", r'"ws": "([\d.]+)"'),
            ("node", "--version"),
            WARM_UP_NODE,
        ),
        Lane(
            "Ktor CIO",
            "JVM",
            _jvm("ktor-cio"),
            _pinned("jvm/pom.xml", r"<ktor\.version>([\d.]+)"),
            ("java", "-version"),
            WARM_UP_JVM,
        ),
        Lane(
            "OkHttp",
            "JVM",
            _jvm("okhttp"),
            _pinned("jvm/pom.xml", r"<okhttp\.version>([\d.]+)"),
            ("java", "-version"),
            WARM_UP_JVM,
        ),
    )
}


def made(names: Sequence[str]) -> dict[str, Client]:
    """Build the lanes; one line for each that lacks something."""
    clients = {}
    for name in names:
        try:
            clients[name] = LANES[name].client()
        except LaneAbsentError as absent:
            print(f"{name} ({LANES[name].language}): left out, {absent}")
    return clients

"""The documentation is true: its code runs, its commands exist, its links lead somewhere.

A page's Python blocks run in order, in one process and one namespace. `8080`, where pages assume
`ktor-client echo`, becomes the port of a server that this test runs. Blocks with a title are files
beside each other; those that hold tests are run by pytest. `<!-- output -->` before a text block
says that it is what the page has printed since the last one. `<!-- not run: reason -->` leaves a
block out.
"""

from __future__ import annotations

import configparser
import importlib
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ktor_client.cli.command_line import _parser
from ktor_client.testing import BackgroundEchoServer
from tests.docs_blocks import PAGES, ROOT, Block, anchors_of, blocks_of, links_of, text_of

MARK = "\x1eblock\x1e"
PYTEST_INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
pytestmark = pytest.mark.timeout(120)  # a page is a process of its own, and machines are busy

INERT = {"", "console", "html", "ini", "js", "json", "kotlin", "markdown", "text"}
"""Languages that nothing here can run; some are parsed below."""
HARMLESS = {"cd", "git", "mkdir", "npm", "printf", "source"}


def with_python(holds_tests: bool) -> list[str]:
    return [
        page
        for page in PAGES
        if any(
            block.language == "python" and block.is_run and is_test(block) == holds_tests
            for block in blocks_of(page)
        )
    ]


def is_test(block: Block) -> bool:
    return re.search(r"^(async )?def test_", block.text, re.MULTILINE) is not None


def python(*arguments: str, cwd: Path, timeout: float = 100) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.parametrize("page", with_python(holds_tests=False))
def test_python_runs(page: str, tmp_path: Path) -> None:
    ran: list[Block] = []
    program = [
        "import sys, types",
        "page = sys.modules['__main__'] = types.ModuleType('__main__')",
        "sys.path.insert(0, '')",
    ]
    with BackgroundEchoServer() as server:
        port = str(urlsplit(server.url).port)
        for block in blocks_of(page):
            if block.language != "python" or not block.is_run or is_test(block):
                continue
            code = block.text.replace("8080", port)
            if block.title is not None:
                (tmp_path / block.title).write_text(code)
            source = "\n" * block.line + code
            program.append(f"print({MARK!r} + {str(block.line)!r})")
            program.append(f"exec(compile({source!r}, {page!r}, 'exec'), vars(page))")
            ran.append(block)
        (tmp_path / "_page.py").write_text("\n".join(program))
        result = python("_page.py", cwd=tmp_path)
    assert result.returncode == 0, f"{page}:\n{result.stdout}\n{result.stderr}"
    assert result.stderr == ""
    printed = dict(part.split("\n", 1) for part in result.stdout.split(MARK)[1:])
    seen = ""
    for block in blocks_of(page):
        seen += printed.get(str(block.line), "") if block in ran else ""
        if block.mark == "output":
            assert seen.replace(port, "8080") == block.text, block.name
            seen = ""


@pytest.mark.parametrize("page", with_python(holds_tests=False))
def test_a_page_that_needs_a_server_says_how_to_start_it(page: str) -> None:
    code = [block.text for block in blocks_of(page) if block.language == "python" and block.is_run]
    if any("8080" in text for text in code):
        assert "ktor-client echo --port 8080" in text_of(page), page


def test_types_are_right(tmp_path: Path) -> None:
    """Files stand beside those of their page, other blocks of a page behind one another."""
    folders: dict[Path, None] = {}
    for page in with_python(holds_tests=False):
        name = re.sub(r"\W", "_", page.removesuffix(".md"))
        blocks = [block for block in blocks_of(page) if block.language == "python" and block.is_run]
        folder = tmp_path / (name if any(block.title for block in blocks) else "pages")
        folder.mkdir(exist_ok=True)
        folders[folder] = None
        for block in blocks:
            if not is_test(block):
                with (folder / (block.title or f"{name}.py")).open("a") as file:
                    file.write(block.text)
    options = ("--strict", "--disable-error-code=no-redef", f"--cache-dir={tmp_path / 'cache'}")
    for folder in folders:
        result = python("-m", "mypy", *options, ".", cwd=folder)
        assert result.returncode == 0, f"{folder}:\n{result.stdout}\n{result.stderr}"


@pytest.mark.parametrize("page", with_python(holds_tests=True))
def test_tests_pass(page: str, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text(PYTEST_INI)
    for block in blocks_of(page):
        if block.language in ("python", "ini", "toml") and block.is_run:
            if block.title is not None:
                (tmp_path / block.title).write_text(block.text)
            elif is_test(block):
                (tmp_path / f"test_line_{block.line}.py").write_text(block.text)
    options = ("-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:Faker")
    result = python("-m", "pytest", *options, cwd=tmp_path)
    assert result.returncode == 0, f"{page}:\n{result.stdout}\n{result.stderr}"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)])
def test_other_blocks_are_sound(page: str) -> None:
    for block in blocks_of(page):
        if not block.is_run:
            continue
        match block.language:
            case "python":
                compile(block.text, block.name, "exec")
            case "sh" | "bash" | "shell":
                check_shell(block)
            case "toml":
                tomllib.loads(block.text)
            case "ini":
                configparser.ConfigParser().read_string(block.text)
            case "json":
                json.loads(block.text)
            case _:
                assert block.language in INERT, f"{block.name}: what is {block.language}?"


def check_shell(block: Block) -> None:
    """Check each command: a verb, an extra, an option or a file that does not exist is found."""
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    for line in block.text.splitlines():
        for command in re.split(r"&&|\|", line.partition(" #")[0].strip()):
            words = shlex.split(command)
            if words and not words[0].startswith("#"):
                check_command(block.name, [Path(words[0]).name, *words[1:]])


def check_command(where: str, words: list[str]) -> None:
    match words:
        case ["ktor-client", *arguments]:
            try:
                _parser().parse_args(arguments)
            except SystemExit as end:
                if end.code:
                    raise AssertionError(f"{where}: {shlex.join(words)}") from end
        case ["make", *arguments]:
            known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            verbs = [word for word in arguments if "=" not in word]
            assert set(verbs) <= set(known), f"{where}: {shlex.join(words)}"
        case ["python" | "python3", "-m", "venv" | "http.server", *_]:
            pass
        case ["python" | "python3", "-m", "pytest", *files] | ["pytest", *files]:
            check_files(where, files)
        case ["python" | "python3", *files]:
            check_files(where, files)
        case ["pip", "install", *packages]:
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            for package in packages:
                for extra in re.findall(r"\[([\w,-]+)\]", package):
                    extras = set(extra.split(","))
                    assert extras <= set(project["optional-dependencies"]), f"{where}: {package}"
        case [name, *_]:
            assert name in HARMLESS, f"{where}: nobody checks {name}"
        case _:
            raise AssertionError(where)


def check_files(where: str, words: list[str]) -> None:
    """Check that scripts exist, in the repository or among the files that the page shows."""
    page = where.partition(":")[0]
    shown = {block.title for block in blocks_of(page)}
    for word in words:
        if word.endswith(".py"):
            assert word in shown or (ROOT / word).is_file(), f"{where}: there is no {word}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in links_of(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https", f"{page}: {link}"
            continue
        target = (ROOT / page).parent / parts.path if parts.path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if parts.fragment.startswith("ktor_client."):
            module, _, name = parts.fragment.rpartition(".")
            assert hasattr(importlib.import_module(module), name), f"{page}: {link}"
        elif parts.fragment:
            name = target.resolve().relative_to(ROOT).as_posix()
            assert parts.fragment in anchors_of(name), f"{page}: {link}"


def test_no_reason_is_given_in_vain() -> None:
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        marks = re.findall(r"^ *<!-- (?:not run: .+|output) -->$", text, re.MULTILINE)
        assert len(marks) == sum(bool(block.mark) for block in blocks_of(page)), page


@pytest.mark.parametrize("tool", ["reference_pages.py", "benchmark_page.py"])
def test_generated_pages_are_current(tool: str) -> None:
    result = python(f"tools/{tool}", "--check", cwd=ROOT)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_mistake_in_a_command_is_found() -> None:
    for wrong in ("ktor-client eco", "make tset", "pip install '.[aiohtp]'", "rm -rf /"):
        with pytest.raises(AssertionError):
            check_command("README.md:1", shlex.split(wrong))

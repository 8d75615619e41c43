"""`ktor-client browser-demo`, without a browser: what it serves, and what it cannot."""

from __future__ import annotations

import io
import re
import signal
import zipfile
from pathlib import Path

import pytest

from ktor_client import HttpClient
from ktor_client.cli import browser_demo
from ktor_client.cli.browser_demo import PYODIDE, demo_server
from ktor_client.cli.failure import CommandError
from ktor_client.testing import EchoServer
from tests.cli.command import run, start


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
async def test_it_serves_the_page_until_a_signal(ending: signal.Signals) -> None:
    process = await start("browser-demo", "--port", "0")
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    found = re.fullmatch(r"Open (http://127\.0\.0\.1:\d+/demo/) in a browser\. Ctrl-C .*\n", line)
    assert found is not None, line
    async with HttpClient() as client:
        page = await client.get(found[1])
        assert "ktor-client" in await page.body_as_text()
        typed = await client.get(found[1].removesuffix("/"))
        assert str(typed.request.url) == found[1]
        assert await typed.body_as_text() == await page.body_as_text()
        config = await client.get(f"{found[1]}config.json")
        assert await config.body(dict) == {"pyodide": PYODIDE}
        package = await (await client.get(f"{found[1]}ktor_client.zip")).body_as_bytes()
    names = zipfile.ZipFile(io.BytesIO(package)).namelist()
    assert {"ktor_client/__init__.py", "ktor_client/engines/_browser/engine.py"} <= set(names)
    assert all(name.startswith("ktor_client/") and name.endswith(".py") for name in names)
    process.send_signal(ending)
    assert await process.communicate() == (b"", b"")
    assert process.returncode == 0


async def test_a_pyodide_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"no pyodide\.mjs in .*npm install pyodide"):
        demo_server(tmp_path)
    (tmp_path / "pyodide.mjs").write_text("export {}")
    server = demo_server(tmp_path)
    await server.start()
    async with HttpClient() as client:
        config = await (await client.get(f"{server.http_url}/demo/config.json")).body(dict)
        script = await client.get(f"{server.http_url}{config['pyodide']}pyodide.mjs")
        assert await script.body_as_text() == "export {}"
    await server.close()


def test_a_page_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(browser_demo, "_package", tmp_path / "ktor_client")
    monkeypatch.setattr(browser_demo, "__file__", str(tmp_path / "browser_demo.py"))
    with pytest.raises(CommandError, match="the page is missing"):
        demo_server()


async def test_a_taken_port(server: EchoServer) -> None:
    done = await run("browser-demo", "--port", str(server.port))
    done.fails(1, f"127.0.0.1 port {server.port}", "in use", "--port 0")

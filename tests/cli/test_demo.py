"""`ktor-client demo`."""

from __future__ import annotations

import argparse
import re

import pytest

from ktor_client import Headers, HttpRequest, HttpResponse, PingCapability, Url
from ktor_client.cli import demo
from ktor_client.engine import HttpClientEngine, registry
from ktor_client.engines import AiohttpEngine, Capability, WebSocketOptions, WebSocketUpgrade
from tests.cli.command import python, run

WITHOUT = "import sys\nfor name in {!r}: sys.modules[name] = None\n"
DEMO = "from ktor_client.cli import main\nsys.exit(main(['demo']))"


async def test_every_engine_chats() -> None:
    done = await run("demo")
    assert (done.status, done.err) == (0, "")
    assert re.search(r"^An echo server listens on ws://127\.0\.0\.1:\d+/echo$", done.out, re.M)
    rooms = done.out.split("\n\n")
    for room, name in zip(rooms[1:4], ("cio", "aiohttp", "httpx"), strict=True):
        assert room.startswith(f"{name}: {'part of ktor-client' if name == 'cio' else name}")
        assert room.count(f"'hello from {name}'") == 2
        assert "GET /hello" in room
        assert "closed      1000 NORMAL, both sides agreed" in room
    assert rooms[4] == "darwin: runs on macOS and iOS only"
    assert rooms[5] == "browser: runs in a browser only, under Pyodide"
    assert "3 engines" in rooms[6]


async def test_an_engine_that_is_not_installed_is_one_line() -> None:
    done = await python(WITHOUT.format(("httpx_ws", "wsproto")) + DEMO)
    assert (done.status, done.err) == (0, "")
    assert "\nhttpx: httpx-ws not installed; try: pip install httpx httpx-ws\n" in done.out
    assert "2 engines" in done.out


async def test_without_any_library_our_own_wire_chats() -> None:
    done = await python(WITHOUT.format(("aiohttp", "httpx", "httpx_ws")) + DEMO)
    assert (done.status, done.err) == (0, "")
    assert "\naiohttp: aiohttp not installed; try: pip install aiohttp\n" in done.out
    assert "one engine" in done.out


async def test_an_engine_that_fails_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> HttpClientEngine:
        raise LookupError("not\ntoday")

    monkeypatch.setitem(registry._registered, "broken", broken)
    assert await demo.run(argparse.Namespace()) == 1
    out = capsys.readouterr().out
    assert "\nbroken: third-party engine\n  broken failed: not today\n" in out
    assert out.endswith("\n3 of 4 engines chatted; failed: broken\n")


async def test_an_engine_that_answers_wrongly_has_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Deaf(AiohttpEngine):
        async def execute(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse(request, 503, Headers())

    class Astray(AiohttpEngine):
        async def open_web_socket(
            self, request: HttpRequest, options: WebSocketOptions
        ) -> WebSocketUpgrade:
            other = request.copy(url=Url.parse(str(request.url).replace("/echo", "/send")))
            return await super().open_web_socket(other, options)

    class Quiet(AiohttpEngine):
        @property
        def capabilities(self) -> frozenset[Capability]:
            return super().capabilities - {PingCapability}

    monkeypatch.setitem(registry._registered, "quiet", Quiet)
    monkeypatch.setitem(registry._registered, "deaf", Deaf)
    monkeypatch.setitem(registry._registered, "astray", Astray)
    assert await demo.run(argparse.Namespace()) == 1
    out = capsys.readouterr().out
    assert "  deaf failed: GET /hello gave 503, not 200\n" in out
    assert "  astray failed: that is not what was sent\n" in out
    assert out.endswith("\n4 of 6 engines chatted; failed: deaf, astray\n")
    quiet = out.partition("\nquiet: ")[2].partition("\n\n")[0]
    assert "  received    'hello from quiet'\n" in quiet
    assert "ping" not in quiet

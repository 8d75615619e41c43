"""What may be imported when: nothing of the network by the core, everything on demand."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = ("aiohttp", "httpx", "httpx_ws", "httpcore", "wsproto", "anyio", "yarl", "pytest")
BLOCK = f"import sys\nfor name in {LIBRARIES!r}: sys.modules[name] = None\n"


def run(code: str) -> str:
    """Run code in a fresh interpreter with warnings as errors; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_core_imports_without_any_network_library() -> None:
    run(BLOCK + "import ktor_client, ktor_client.plugins, ktor_client.engines, ktor_client.testing")


def test_the_core_imports_no_network_library_where_there_is_one() -> None:
    loaded = run(
        "import ktor_client, ktor_client.plugins, ktor_client.engines, sys\n"
        f"print([name for name in {LIBRARIES!r} if name in sys.modules])"
    )
    assert loaded == "[]"


def test_a_client_is_made_without_what_it_may_never_need() -> None:
    loaded = run(
        "import asyncio, sys; before = set(sys.modules)\n"
        "from ktor_client import HttpClient; HttpClient()\n"
        f"print([name for name in {(*LIBRARIES, 'websockets')!r}"
        " if name in sys.modules])\n"
        "print([name for name in ('plugins.auth', 'plugins.converters', 'plugins.cookies',"
        " 'plugins.logging', 'plugins.request_retry', 'plugins.sse', 'plugins.websockets',"
        " 'reconnect', 'retry', 'session') if f'ktor_client.{name}' in sys.modules])\n"
        "print([name for name in ('dataclasses', 'difflib', 'json', 'pathlib', 'random')"
        " if name in sys.modules and name not in before])"
    )
    assert loaded.split("\n") == ["[]", "[]", "[]"]


def test_without_libraries_the_default_engine_is_our_own() -> None:
    assert (
        run(BLOCK + "from ktor_client import HttpClient; print(HttpClient().engine)")
        == "CioEngine()"
    )


@pytest.mark.parametrize(
    ("name", "libraries"), [("AiohttpEngine", "aiohttp"), ("HttpxEngine", "httpx httpx-ws")]
)
def test_an_engine_without_its_library_says_what_to_install(name: str, libraries: str) -> None:
    text = run(
        BLOCK + f"try: from ktor_client.engines import {name}\nexcept ImportError as e: print(e)"
    )
    assert f"pip install {libraries}" in text


def test_engines_load_when_they_are_named() -> None:
    out = run(
        "import sys, ktor_client.engines as engines\n"
        "assert 'aiohttp' not in sys.modules\n"
        "engines.AiohttpEngine\n"
        "print('aiohttp' in sys.modules, 'httpx' in sys.modules)"
    )
    assert out == "True False"

"""`ktor-client browser-demo`: a chat page whose Python runs in the browser, and its echo server."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import signal
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ktor_client
from ktor_client.cli.echo import port
from ktor_client.cli.failure import CommandError, cannot_listen
from ktor_client.testing import EchoServer
from ktor_client.testing.exchange import Response

if TYPE_CHECKING:
    from ktor_client.testing.exchange import Exchange

__all__ = ["add_to", "demo_server", "run"]

DEFAULT_PORT = 8081
PYODIDE = "https://cdn.jsdelivr.net/npm/pyodide@314.0.7/"

_package = Path(ktor_client.__file__).parent


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "browser-demo",
        help="serve a chat page whose Python runs in the browser",
        description="Serve a chat page until Ctrl-C. Its Python, this package included, runs in "
        "the browser under Pyodide, which the page loads from a CDN, or from --pyodide.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument(
        "--port", type=port, default=DEFAULT_PORT, help="0 takes a free one (%(default)s)"
    )
    parser.add_argument(
        "--pyodide",
        type=Path,
        metavar="FOLDER",
        help="a folder with pyodide.mjs, such as node_modules/pyodide, instead of the CDN",
    )
    parser.set_defaults(run=run)


def demo_server(pyodide: Path | None = None) -> EchoServer:
    """Return an echo server that has the page at /demo/, not started.

    Raises:
        CommandError: the page or Pyodide is not where it should be.
    """
    files = {"/demo": _page()}
    if pyodide is not None:
        if not (pyodide / "pyodide.mjs").is_file():
            raise CommandError(f"there is no pyodide.mjs in {pyodide}; try: npm install pyodide")
        files["/pyodide"] = pyodide
    server = EchoServer(files=files)
    config = {"pyodide": PYODIDE if pyodide is None else "/pyodide/"}

    async def tell_config(exchange: Exchange) -> Response:
        """Where the demo page finds Pyodide."""
        return Response(200, json.dumps(config), content_type="application/json")

    async def send_package(exchange: Exchange) -> Response:
        """This package, for the demo page."""
        archive = await asyncio.to_thread(_packed)
        return Response(200, archive, content_type="application/zip")

    server.routes["/demo/config.json"] = tell_config
    server.routes["/demo/ktor_client.zip"] = send_package
    return server


def _page() -> Path:
    """Return the page's folder: in an installed package, or in a checkout."""
    for folder in (Path(__file__).parent / "browser_page", _package.parent / "examples/browser"):
        if (folder / "index.html").is_file():
            return folder
    raise CommandError("the page is missing; it is in examples/browser of the repository")


def _packed() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(_package.rglob("*.py")):
            archive.write(path, path.relative_to(_package.parent))
    return packed.getvalue()


async def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    server = demo_server(options.pyodide)
    try:
        await server.start(options.host, options.port)
    except OSError as error:
        raise cannot_listen(options.host, options.port, error) from error
    try:
        print(f"Open {server.http_url}/demo/ in a browser. Ctrl-C ends.", flush=True)
        ended = asyncio.Event()
        with suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await ended.wait()
    finally:
        await server.close()
    return 0

"""Send a file as one message in fragments: it is never in memory as a whole.

    python examples/file_upload.py [FILE]

Without FILE it makes one of 32 MiB. It starts a server, which answers with the file's hash.
"""

import asyncio
import hashlib
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from ktor_client import Frame, HttpClient, install
from ktor_client.plugins import WebSockets
from ktor_client.testing import Exchange, echo_server

CHUNK = 256 * 1024


async def receive_upload(exchange: Exchange) -> None:
    """The server: hash the fragments as they come; a raw session sees each of them."""
    exchange.query.setdefault("deflate", "off")
    digest, fragments = hashlib.sha256(), 0
    async with exchange.accept_raw() as session:
        async for frame in session.incoming:
            if isinstance(frame, Frame.Binary):
                digest.update(frame.data)
                fragments += 1
                if frame.fin:
                    break
        await session.send(f"{fragments} fragments, {digest.hexdigest()}")


async def read_chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


async def upload(client: HttpClient, url: str, path: Path) -> str:
    async with client.web_socket(url) as session:
        await session.send_stream(read_chunks(path))
        return await session.receive_text()


async def main(path: Path) -> None:
    async with echo_server() as server, HttpClient(None, install(WebSockets)) as client:
        server.routes["/upload"] = receive_upload
        answer = await upload(client, f"{server.url}/upload", path)
        print(f"{path.name}: {path.stat().st_size} bytes in {answer}")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        if len(sys.argv) > 1:
            asyncio.run(main(Path(sys.argv[1])))
            sys.exit()
        with tempfile.NamedTemporaryFile(suffix=".bin") as made:
            made.truncate(32 * 1024 * 1024)
            asyncio.run(main(Path(made.name)))

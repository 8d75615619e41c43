"""The interop server on the ``websockets`` library."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from .lifeline import Closures, announce, bind, choose_subprotocol

closures = Closures()


def split(target: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(target)
    return parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}


async def answer(connection: ServerConnection, request: Request) -> Response | None:
    path, query = split(request.path)
    if path == "/hello":
        return connection.respond(HTTPStatus.OK, "hello from websockets")
    if path == "/recorded":
        return connection.respond(HTTPStatus.OK, await closures.recorded(query["id"]))
    if path == "/refuse":
        return connection.respond(HTTPStatus.FORBIDDEN, "no entry")
    return None


def select(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    if connection.request is None or connection.request.path != "/subprotocol":
        return None
    chosen = choose_subprotocol([str(name) for name in offered])
    return None if chosen is None else Subprotocol(chosen)


async def converse(connection: ServerConnection) -> None:
    assert connection.request is not None
    path, query = split(connection.request.path)
    if path in ("/echo", "/subprotocol"):
        async for message in connection:
            await connection.send(message)
    elif path == "/close":
        await connection.close(4001, "bye")
    elif path == "/count":
        for i in range(int(query["n"])):
            await connection.send(str(i))
        await connection.close(1000, "done")
    elif path == "/ping":
        await (await connection.ping("are you there"))
        await connection.send("pong: are you there")
        await connection.wait_closed()
    elif path == "/record":
        try:
            while True:
                await connection.recv()
        except ConnectionClosed:
            closures.record(query["id"], connection.close_code, connection.close_reason)


async def main() -> None:
    listener = bind()
    async with serve(
        converse, sock=listener, process_request=answer, select_subprotocol=select, max_size=2**24
    ) as server:
        announce(listener)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

"""The control: every foreign server keeps its contract towards the ``websockets`` client.

When a row fails here, the server is at fault; when it fails only in ``test_interop.py``, we are.
"""

import asyncio
from urllib.request import urlopen

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Subprotocol

from .lanes import PINGING_LANES, TELLING_LANES, Server

pytestmark = [pytest.mark.interop, pytest.mark.timeout(30, func_only=True)]
on_pinging_lanes = pytest.mark.parametrize("server", PINGING_LANES, indirect=True, ids=str)
on_telling_lanes = pytest.mark.parametrize("server", TELLING_LANES, indirect=True, ids=str)

MESSAGES: tuple[str | bytes, ...] = ("", b"", "жук", "t" * 2**20, b"\x00\xff" * 2**19)


def get(server: Server, path: str) -> str:
    with urlopen(server.http(path), timeout=20) as response:
        assert response.status == 200
        return str(response.read().decode())


async def test_serves_http(server: Server) -> None:
    assert await asyncio.to_thread(get, server, "/hello") == f"hello from {server.lane}"


async def test_echoes_with_deflate(server: Server) -> None:
    async with connect(server.ws("/echo"), max_size=None) as socket:
        extensions = socket.protocol.extensions
        assert [extension.name for extension in extensions] == ["permessage-deflate"]
        for message in MESSAGES if server.lane.deflates_empty else MESSAGES[2:]:
            await socket.send(message)
            assert await socket.recv() == message


async def test_echoes_without_deflate(server: Server) -> None:
    async with connect(server.ws("/echo"), max_size=None, compression=None) as socket:
        assert socket.protocol.extensions == []
        for message in MESSAGES:
            await socket.send(message)
            assert await socket.recv() == message
        await (await socket.ping("x"))


async def test_closes_with_its_own_code(server: Server) -> None:
    async with connect(server.ws("/close")) as socket:
        with pytest.raises(ConnectionClosedError):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4001, "bye")


async def test_counts_then_closes_normally(server: Server) -> None:
    async with connect(server.ws("/count?n=1000")) as socket:
        assert [message async for message in socket] == [str(i) for i in range(1000)]
        assert (socket.close_code, socket.close_reason) == (1000, "done")


@pytest.mark.parametrize("offered", [["v2.interop"], ["v0.interop", "v1.interop"]])
async def test_chooses_a_subprotocol(server: Server, offered: list[Subprotocol]) -> None:
    async with connect(server.ws("/subprotocol"), subprotocols=offered) as socket:
        assert socket.subprotocol == offered[-1]


async def test_refuses(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(server.ws("/refuse"))
    assert refusal.value.response.status_code == 403
    assert refusal.value.response.body == b"no entry"


@on_pinging_lanes
async def test_pings(server: Server) -> None:
    async with connect(server.ws("/ping")) as socket:
        assert await socket.recv() == "pong: are you there"


@on_telling_lanes
async def test_remembers_our_close(server: Server) -> None:
    async with connect(server.ws("/record?id=control")) as socket:
        await socket.close(4002, "so long")
    assert await asyncio.to_thread(get, server, "/recorded?id=control") == "4002 so long"

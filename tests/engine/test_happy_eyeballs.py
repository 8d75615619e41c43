"""The first address that answers wins, and no socket of the others is left."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Generator
from typing import Any

import pytest

from ktor_client.engine import happy_eyeballs
from ktor_client.engine.happy_eyeballs import connect_first
from ktor_client.engine.resolver import Address
from tests.support.cancellation import cancelled_at


@contextlib.contextmanager
def silent() -> Generator[int, None, None]:
    """A port that neither accepts nor refuses: its queue is full."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            yield port


@contextlib.contextmanager
def listening() -> Generator[int, None, None]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def refusing() -> int:
    with listening() as port:
        return port


def addresses(*ports: int) -> list[Address]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, ("127.0.0.1", port)) for port in ports]


async def test_one_address() -> None:
    with listening() as port:
        with await connect_first(addresses(port)) as connection:
            assert connection.getpeername()[1] == port
            assert not connection.getblocking()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux connects at once")
async def test_a_socket_that_connects_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may choose the very port for it that nobody listens at."""

    class Unlucky(socket.socket):
        def connect_ex(self, address: Any, /) -> int:
            self.bind(address)
            return super().connect_ex(address)

    port = refusing()
    monkeypatch.setattr(socket, "socket", Unlucky)
    with pytest.raises(ConnectionRefusedError, match=rf"Connection refused \(.*{port}\)"):
        await connect_first(addresses(port))


async def test_a_system_that_takes_no_second_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(happy_eyeballs, "_AT_ONCE", False)
    with listening() as port:
        with await connect_first(addresses(port)) as connection:
            assert connection.getpeername()[1] == port
    with pytest.raises(ConnectionRefusedError):
        await connect_first(addresses(refusing()))


async def test_after_a_refusal_the_next_is_tried_at_once() -> None:
    with listening() as port:
        with await connect_first(addresses(refusing(), refusing(), port), delay=1000) as connection:
            assert connection.getpeername()[1] == port


async def test_silence_delays_only() -> None:
    with silent() as quiet, listening() as port:
        with await connect_first(addresses(quiet, port), delay=0.01) as connection:
            assert connection.getpeername()[1] == port


async def test_two_that_answer() -> None:
    with listening() as first, listening() as second:
        with await connect_first(addresses(first, second), delay=0) as connection:
            assert connection.getpeername()[1] in (first, second)


async def test_nobody_answers() -> None:
    with pytest.raises(ConnectionRefusedError) as caught:
        await connect_first(addresses(refusing(), refusing()), delay=0)
    assert str(caught.value).count("127.0.0.1") == 2


async def test_cancelled_at_every_await() -> None:
    with silent() as quiet, listening() as port:
        connection, at = None, 0
        while connection is None:
            at += 1
            connection = await cancelled_at(connect_first(addresses(quiet, port), delay=0.001), at)
        connection.close()
    assert at > 2


async def test_cancelled_once_more_while_giving_up() -> None:
    with silent() as quiet:
        task = asyncio.ensure_future(connect_first(addresses(quiet, quiet), delay=1000))
        for _ in range(5):
            await asyncio.sleep(0)  # the first attempt has begun
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

"""The first address that answers wins, and no socket of the others is left."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator

import pytest

from ktor_client.engine.happy_eyeballs import connect_first
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


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """What "host" resolves to: ports of 127.0.0.1."""
    known: dict[str, list[int]] = {}

    async def getaddrinfo(_: object, host: str, port: int, **__: object) -> list[object]:
        ports = known[host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", p)) for p in ports]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return known


async def test_an_address_needs_no_resolver(names: dict[str, list[int]]) -> None:
    assert not names  # asked, it would know nothing
    with listening() as port:
        with await connect_first("127.0.0.1", port) as connection:
            assert connection.getpeername() == ("127.0.0.1", port)


async def test_one_address(names: dict[str, list[int]]) -> None:
    with listening() as port:
        names["host"] = [port]
        with await connect_first("host", 1) as connection:
            assert connection.getpeername()[1] == port
            assert not connection.getblocking()


async def test_after_a_refusal_the_next_is_tried_at_once(names: dict[str, list[int]]) -> None:
    with listening() as port:
        names["host"] = [refusing(), refusing(), port]
        with await connect_first("host", 1, delay=1000) as connection:
            assert connection.getpeername()[1] == port


async def test_silence_delays_only(names: dict[str, list[int]]) -> None:
    with silent() as quiet, listening() as port:
        names["host"] = [quiet, port]
        with await connect_first("host", 1, delay=0.01) as connection:
            assert connection.getpeername()[1] == port


async def test_two_that_answer(names: dict[str, list[int]]) -> None:
    with listening() as first, listening() as second:
        names["host"] = [first, second]
        with await connect_first("host", 1, delay=0) as connection:
            assert connection.getpeername()[1] in (first, second)


async def test_nobody_answers(names: dict[str, list[int]]) -> None:
    names["host"] = [refusing(), refusing()]
    with pytest.raises(ConnectionRefusedError) as caught:
        await connect_first("host", 1, delay=0)
    assert str(caught.value).count("127.0.0.1") == 2


async def test_no_address(names: dict[str, list[int]]) -> None:
    names["host"] = []
    with pytest.raises(OSError, match="no address"):
        await connect_first("host", 1)


async def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(socket.gaierror):
        await connect_first("nobody.invalid", 1)


async def test_cancelled_at_every_await(names: dict[str, list[int]]) -> None:
    with silent() as quiet, listening() as port:
        names["host"] = [quiet, port]
        connection, at = None, 0
        while connection is None:
            at += 1
            connection = await cancelled_at(connect_first("host", 1, delay=0.001), at)
        connection.close()
    assert at > 2


async def test_cancelled_once_more_while_giving_up(names: dict[str, list[int]]) -> None:
    with silent() as quiet:
        names["host"] = [quiet, quiet]
        task = asyncio.ensure_future(connect_first("host", 1, delay=1000))
        for _ in range(5):
            await asyncio.sleep(0)  # the first attempt has begun
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_families_take_turns() -> None:
    """With both families at hand, the second attempt is of the other one."""
    from ktor_client.engine.happy_eyeballs import _interleaved

    six = [(socket.AF_INET6, 1, 6, (f"::{n}", 1, 0, 0)) for n in range(3)]
    four = [(socket.AF_INET, 1, 6, (f"127.0.0.{n}", 1)) for n in range(2)]
    assert _interleaved([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert _interleaved([*four, *six])[:2] == [four[0], six[0]]

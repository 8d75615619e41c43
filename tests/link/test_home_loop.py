"""`HomeLoop`, and what a `StreamLink` makes of another loop."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client import WrongLoopError
from ktor_client.link import StreamLink
from ktor_client.link.home_loop import HomeLoop, session_loop
from ktor_client.link.write_room import PIECE
from tests.support.fake_transport import FakeTransport, link_on
from tests.support.receiver import Receiver


def test_where_it_is() -> None:
    async def make() -> HomeLoop:
        home = session_loop()
        assert not home.is_elsewhere
        home.check()
        return home

    async def is_elsewhere() -> bool:
        return home.is_elsewhere

    loop = asyncio.new_event_loop()
    home = loop.run_until_complete(make())
    assert not home.is_elsewhere  # its loop rests
    home.check()
    assert not loop.run_until_complete(is_elsewhere())
    assert asyncio.run(is_elsewhere())
    loop.close()
    assert home.is_elsewhere
    assert asyncio.run(is_elsewhere())


def test_the_error_says_what_to_do() -> None:
    async def check() -> None:
        home.check()

    async def make() -> HomeLoop:
        home = HomeLoop("it is bound to a loop", "make one each")
        return home

    home = asyncio.run(make())
    with pytest.raises(WrongLoopError) as caught:
        asyncio.run(check())
    assert str(caught.value) == (
        "it is bound to a loop (closed), and this is another one; make one each, for instance "
        "inside the coroutine that asyncio.run(...) runs"
    )


async def on_a_loop(*texts: str) -> tuple[StreamLink, FakeTransport, Receiver]:
    link, transport, receiver = link_on()
    for text in texts:
        link.send_text(text)
    return link, transport, receiver


@pytest.mark.parametrize("before", [(), ("a",), ("a", "b")])
@pytest.mark.parametrize("size", [1, PIECE + 1])
def test_nothing_is_written_from_another_loop(before: tuple[str, ...], size: int) -> None:
    async def send() -> None:
        link.send_binary(bytes(size))

    link, transport, _ = asyncio.run(on_a_loop(*before))
    written = len(transport.writes)
    with pytest.raises(WrongLoopError, match=r"opened on \(closed\)"):
        asyncio.run(send())
    with pytest.raises(WrongLoopError):
        asyncio.run(send())
    assert (len(transport.writes), link.frames_sent) == (written, len(before))


def test_aborting_when_the_loop_is_closed_needs_no_loop() -> None:
    link, transport, receiver = asyncio.run(on_a_loop())
    link.abort()
    assert receiver.end.result() is None
    link.abort()
    assert transport.calls == []

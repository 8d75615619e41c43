"""What `async for` goes through on the compiled core: no channel, and no more than one."""

from __future__ import annotations

from collections.abc import Callable

PROGRAM = """
import asyncio, gc, weakref
from collections.abc import AsyncIterator
from ktor_client import Frame, _twin
from ktor_client.session.default import _Messages
from ktor_client.session.incoming import Incoming
from tests.session.test_awaitables import in_a_step, opened, read

assert _twin.implementation == "compiled"

async def iterate():
    session, _ = opened()
    read(session, "a", "b", "c", "d", "e")
    await in_a_step(session)
    frames, messages = aiter(session.incoming), aiter(session)
    for each in (frames, messages):
        assert type(each).__name__ == "Iterator"
        assert aiter(each) is each
        assert isinstance(each, AsyncIterator)
        try:
            type(each)()
        except TypeError:
            pass
        else:
            raise AssertionError("made by hand")
    assert await anext(frames) == Frame.Text("a")
    assert await anext(messages) == "b"
    assert await messages.__anext__() == "c"
    assert await session.incoming.__anext__() == Frame.Text("d")
    async for message in messages:
        assert message == "e"
        break
    waiting = asyncio.ensure_future(anext(frames))
    await asyncio.sleep(0)
    read(session, "f")
    assert await waiting == Frame.Text("f")
    session._core.cancel()
    assert [each async for each in frames] == [each async for each in messages] == []

async def heirs():
    class Loud(Incoming):
        __slots__ = ()
        async def __anext__(self):
            return "loud"

    class Heir(_Messages):
        async def __anext__(self):
            return "heir"

    session, _ = opened()
    heir = Heir(session)
    assert aiter(heir) is heir
    assert await anext(aiter(heir)) == "heir"
    loud = Loud.__new__(Loud)
    assert aiter(loud) is loud
    assert await anext(aiter(loud)) == "loud"
    session._core.cancel()

async def cycles():
    class Owner:
        pass

    session, _ = opened()
    owner = Owner()
    owner.iterators = [aiter(session.incoming), aiter(session)]
    session._core.incoming._returned = [owner]
    gone = weakref.ref(owner)
    session._core.cancel()
    del session, owner, _
    await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
        gc.collect()
    assert gone() is None

for check in (iterate, heirs, cycles):
    asyncio.run(check())
"""


def test_iterators(run_compiled: Callable[..., str]) -> None:
    run_compiled(PROGRAM)

"""The compiled twin under failing allocations, and after many rounds: no crash, nothing left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

COMMON = """
import asyncio, gc, sys
from collections import deque
from ktor_client import Frame, _twin
from ktor_client.frames import BinaryFrame, TextFrame
from tests.protocol.wire import BINARY, TEXT, frame
from tests.session.test_awaitables import ROADS, in_a_step, opened, read

assert _twin.implementation == "compiled"
core = _twin._core
"""

FAILING = """
from _testcapi import remove_mem_hooks, set_nomemory

data = frame(TEXT, "ä".encode()) + frame(BINARY, bytes(200)) + frame(TEXT, b"x" * 40)
messages = deque()

def check(call):
    '''Let one allocation after the other fail, until none of the call's does.'''
    failed = 0
    for number in range(100_000):
        set_nomemory(number, number + 1)
        try:
            call()
        except (MemoryError, UnicodeEncodeError):
            remove_mem_hooks()
            failed += 1
        else:
            remove_mem_hooks()
            if number > failed + 40:  # the last ones all went well
                return failed
    raise AssertionError("it never came to its end")

assert check(lambda: core.take_copied(data, 1000, messages)) > 3
messages.clear()
assert check(lambda: core.take_plain(memoryview(data), 0, 1000, messages)) > 3
messages.clear()
assert check(lambda: core.mask_bytes(b"x" * 5000, b"abcd")) > 0
assert check(lambda: core.new_text("a")) > 0
assert check(lambda: core.new_binary(b"a")) > 0

def go(call):
    try:
        call.send(None)
    except StopIteration:
        pass
    finally:
        call.close()

async def main():
    session, transport = opened()
    text, many = "abc" * 20, [str(number) for number in range(200_000)]
    for name, road in ROADS.items():
        if name == "send":
            await in_a_step(session)
        else:
            session.incoming.queue.extend(map(core.new_text, many))
        check(lambda: go(road(session)))
        check(lambda: road(session).close())
        session.incoming.queue.clear()
    session._core.cancel()

asyncio.run(main())
print("survived")
"""

ROUNDS = """
import resource
data = frame(TEXT, b"abc") * 2 + frame(BINARY, b"abc" * 50) + frame(TEXT, b"\\xff")

async def rounds(count):
    session, transport = opened()
    link = session._link
    good = data[:-3]
    for number in range(count):
        read(session, "a", "b", "c", "d")
        link.buffer_updated  # what read has called
        late = session.incoming.receive()
        assert (await session.incoming.receive()).text == "a"
        assert (await anext(session.incoming)).text == "b"
        assert await anext(aiter(session)) == "c"
        await late
        task = asyncio.ensure_future(session.incoming.receive())
        late = session.incoming.receive()
        await asyncio.sleep(0)
        task.cancel()
        late.close()
        await session.send("text")
        await session.send(b"bytes" * 30)
        await session.send("ä")
        transport.writes.clear()
    await asyncio.sleep(0)
    session._core.cancel()
    await asyncio.sleep(0)

def counts():
    gc.collect()
    types = (TextFrame, BinaryFrame, type(None), str, bytes)
    return len(gc.get_objects()), *map(sys.getrefcount, types[:2])

asyncio.run(rounds(300))
before, size = counts(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
asyncio.run(rounds(int(sys.argv[1])))
after = counts()
assert all(abs(a - b) < 30 for a, b in zip(before, after)), (before, after)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size
assert grown < 4096, grown  # KiB
print("nothing left")
"""


def test_failing_allocations(run_compiled: Callable[..., str]) -> None:
    pytest.importorskip("_testcapi", reason="this Python was built without its test modules")
    assert run_compiled(COMMON + FAILING) == "survived\n"


def test_nothing_is_left_after_many_rounds(run_compiled: Callable[..., str]) -> None:
    assert run_compiled(COMMON + ROUNDS, "2000") == "nothing left\n"


@pytest.mark.exhaustive
@pytest.mark.hours
@pytest.mark.timeout(170)
def test_nothing_is_left_after_a_hundred_thousand_rounds(run_compiled: Callable[..., str]) -> None:
    assert run_compiled(COMMON + ROUNDS, "100000") == "nothing left\n"
